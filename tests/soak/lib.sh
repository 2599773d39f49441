# Crowds that a capture is to stand, and what it takes for them.
#
# Sourced after ../lib.sh.
#
# shellcheck shell=bash source=tests/lib.sh

declare -A who=()	# pids of crowds

# crowd NAME COMMAND...: crowd.py in the namespace $A; what it says goes to
# $scratch/NAME.says. It reads what tell writes.
crowd()
{
	local name=$1 talk
	shift
	mkfifo "$scratch/$name.told"
	(in_ns "$A" "$PYTHON" "$TESTS/soak/crowd.py" "$@") <"$scratch/$name.told" \
	    >"$scratch/$name.says" 2>"$scratch/$name.failed" &
	who[$name]=$!
	at_exit "kill $! 2>/dev/null"
	exec {talk}>"$scratch/$name.told"
	talks[$name]=$talk
}

declare -A talks=()

# tell NAME WORD
tell() { echo "$2" >&"${talks[$1]}"; }

# over NAME: wait until the crowd has ended, of itself or told so.
over()
{
	wait "${who[$1]}" || {
		fail "$1" "the crowd stopped"
		detail "$scratch/$1.failed"
	}
}

# said NAME WORD [TIMES]: wait until the crowd has.
said()
{
	wait_for 120 has_said "$@" && ! gone "${who[$1]}" && return
	fail "$1" "the crowd never said \"$2\""
	detail "$scratch/$1.failed"
	finish
}

has_said()
{
	[ "$(grep -c "$2" "$scratch/$1.says")" -ge "${3:-1}" ] ||
	    gone "${who[$1]}"
}

# weigh NAME: the memory that the capture NAME and its agent have, in KiB, and
# their descriptors, BPF objects among them: in $memory and $descriptors.
weigh()
{
	local p rss
	memory=0 descriptors=0
	for p in "${pid[$1]}" $(agents); do
		rss=$(awk '$1 == "VmRSS:" { print $2 }' "/proc/$p/status")
		memory=$((memory + rss))
		set -- "/proc/$p/fd/"*
		descriptors=$((descriptors + $#))
	done
}
