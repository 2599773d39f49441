# Completes the commands and options of ebpftls(8) in bash, by its own help.
# shellcheck shell=bash

_ebpftls_commands()
{
	ebpftls --help 2>/dev/null |
	    sed -n 's/^[a-z: ]*ebpftls \([a-z]*\) .*/\1/p'
}

# Of the lines "  -x, --name ..." and "  -x ..." in the help of a command.
_ebpftls_options()
{
	ebpftls "$1" --help 2>/dev/null |
	    sed -n 's/^  \(-.\), \(--[a-z]*\).*/\1 \2/p; s/^  \(-.\) .*/\1/p'
}

# Whether there is a "--" before the word, and what is to be run after it.
_ebpftls_is_run()
{
	local i
	for ((i = 2; i < COMP_CWORD; i++)); do
		[ "${COMP_WORDS[i]}" != -- ] || return 0
	done
	return 1
}

_ebpftls()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local words=
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		words=$(_ebpftls_commands)
	elif [ "$before" = -- ]; then
		words=$(compgen -c -- "$word" | sort -u)
	elif _ebpftls_is_run; then
		return
	elif [ "$before" = -i ] || [ "$before" = --interface ]; then
		words="any $(command ls /sys/class/net)"
	elif [[ $word = -* ]]; then
		words=$(_ebpftls_options "${COMP_WORDS[1]}")
	elif [ "${COMP_WORDS[1]}" = doctor ]; then
		words=$(compgen -c -- "$word" | sort -u)
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o default -F _ebpftls ebpftls
