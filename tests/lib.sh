# Shared helpers of the shell tests: result lines, bounded waiting, network
# namespaces that vanish with the test, and pairs of captures.
#
# Sourced by bash after "set -eu". What the helpers make is undone when the
# test exits, however it exits; a test adds its own steps with at_exit.
#
# EBPFTLS_RUN	runs a program with our libpcap (default $BUILD/run)
# DEVPREFIX	what stands before an interface's name to make it our device.
#		Empty: plain is compared with plain, which proves the test.
# AGENT_OPTIONS	what the agent is started with, if anything
# SLOW		by how much all bounds of time are longer: for an emulated machine
# STAMP_LIMIT	how many milliseconds two time stamps of a packet may differ by,
#		if more than 1: for an emulated machine
#
# shellcheck shell=bash

: "${TOP:=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}"
: "${BUILD:=$TOP/build}"
: "${EBPFTLS_RUN:=$BUILD/run}"
: "${DEVPREFIX=ebpftls:}"
PATH=$PATH:/usr/sbin:/sbin
export TOP BUILD EBPFTLS_RUN DEVPREFIX PATH
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

PYTHON=/usr/bin/python3
TESTS=$TOP/tests
failures=0

# --- result lines -----------------------------------------------------------

pass() { echo "PASS $1"; }
skip() { echo "SKIP $1: $2"; }

fail()
{
	echo "FAIL $1: $2"
	failures=$((failures + 1))
}

# detail FILE: the last lines of a log, as free-form detail under a result.
detail()
{
	[ ! -s "$1" ] || tail -n "${2:-5}" "$1" | sed 's/^/  | /'
}

# check NAME WHY COMMAND...: one case that is one condition.
check()
{
	local name=$1 why=$2
	shift 2
	if "$@"; then pass "$name"; else fail "$name" "$why"; fi
}

finish() { [ "$failures" -eq 0 ]; exit; }

# plain: true when the test proves itself on the plain device.
plain() { [ -z "$DEVPREFIX" ]; }

# --- the end of the test ----------------------------------------------------

cleanup_steps=()
at_exit() { cleanup_steps+=("$1"); }

run_cleanup()
{
	local i
	trap - EXIT
	set +e
	for ((i = ${#cleanup_steps[@]} - 1; i >= 0; i--)); do
		eval "${cleanup_steps[i]}"
	done
}
trap run_cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# A folder that the user "tcpdump" may write to: tcpdump opens its savefile
# after it has dropped its privileges.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/ebpftls-test.XXXXXX")
chmod 1777 "$scratch"
at_exit 'rm -rf "$scratch"'

# "${ours[@]}" PROGRAM ARG...: the program with our library, unless plain.
ours=()
if ! plain; then
	ours=("$EBPFTLS_RUN")
	if [ -n "${AGENT_OPTIONS:-}" ]; then
		printf '#!/bin/sh\nexec "%s" %s "$@"\n' \
		    "$BUILD/ebpftls-agent" "$AGENT_OPTIONS" >"$scratch/optioned"
		chmod 755 "$scratch/optioned"
		ours+=(env "EBPFTLS_AGENT=$scratch/optioned")
	fi
fi

# --- waiting and processes --------------------------------------------------

# clock: hundredths of a second, on a clock that nobody sets.
clock()
{
	local up
	read -r up _ </proc/uptime
	REPLY=${up/./}
}

# wait_for SECONDS COMMAND...: until the command succeeds; false if it never
# does within the bound.
wait_for()
{
	local end
	clock
	end=$((REPLY + $1 * 100 * ${SLOW:-1}))
	shift
	until "$@"; do
		clock
		[ "$REPLY" -lt "$end" ] || return 1
		sleep 0.02
	done
}

running() { kill -0 "$1" 2>/dev/null && [ "$(pstate "$1")" != Z ]; }
pstate() { sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null || :; }
gone() { ! running "$1"; }

# Every process the test starts, daemons included, stays in the test's own
# control group: that is how an agent is known to be ours, and how nothing is
# left running.
cgroup=
cgroup_enter()
{
	local root
	[ -z "$cgroup" ] || return 0
	root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	[ -n "$root" ] && mkdir "$root/ebpftls-test.$$" 2>/dev/null || return 0
	cgroup=$root/ebpftls-test.$$
	at_exit cgroup_leave
	echo $$ >"$cgroup/cgroup.procs"
}

# Only what is left is in it: this shell has gone.
cgroup_end()
{
	local p
	while read -r p; do
		kill -9 "$p" 2>/dev/null
	done <"$cgroup/cgroup.procs"
	rmdir "$cgroup" 2>/dev/null
}

cgroup_leave()
{
	echo $$ >"${cgroup%/*}/cgroup.procs"
	wait_for 5 cgroup_end
}

cgroup_enter

# all_agents: the pids of the agents that run on this machine. One that has ended
# is its parent's business: the init process collects it when it likes, and any
# other parent shows as a child of the program.
all_agents()
{
	local p
	for p in $(pgrep -x ebpftls-agent); do
		! running "$p" || echo "$p"
	done
}

# agents: those that this test's captures have started.
agents()
{
	local p
	for p in $(all_agents); do
		[ -n "$cgroup" ] && ! grep -qs "/${cgroup##*/}$" \
		    "/proc/$p/cgroup" || echo "$p"
	done
}

no_agent() { [ -z "$(agents)" ]; }

# cpu_restart: takes the last CPU off line and brings it back, as all but the
# first when a laptop sleeps; its number in $cpu. False: not on this machine.
cpu_restart()
{
	local online
	cpu=$(($(nproc --all) - 1))
	online=/sys/devices/system/cpu/cpu$cpu/online
	[ "$cpu" -gt 0 ] && [ "$(cat "$online" 2>/dev/null)" = 1 ] || return 1
	at_exit "echo 1 >$online"
	{ echo 0 >"$online"; } 2>/dev/null && echo 1 >"$online" &&
	    wait_for 5 cpu_noticed
}

# cpu_noticed: our agents have read what the kernel says of devices (15 is
# NETLINK_KOBJECT_UEVENT), and have done what there was to do.
cpu_noticed()
{
	local p
	for p in $(agents); do
		awk -v pid="$p" '$2 == 15 && $3 == pid && $5 != 0 { exit 1 }' \
		    "/proc/$p/net/netlink" || return 1
		[ "$(pstate "$p")" = S ] || return 1
	done
}

# --- namespaces -------------------------------------------------------------

# ns_make VAR: a namespace with lo up and no traffic of its own; its name goes
# to VAR.
ns_make()
{
	local name=et$$-$1
	ip netns add "$name"
	at_exit "ip netns del $name"
	ip netns exec "$name" sh -c '
		cd /proc/sys/net/ipv6/conf
		for c in default all; do
			echo 0 >$c/autoconf
			echo 0 >$c/accept_ra
			echo 0 >$c/accept_dad
			echo 0 >$c/router_solicitations
			echo 0 >$c/mldv2_unsolicited_report_interval
		done
		echo 1 >default/addr_gen_mode
		echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore'
	ip -n "$name" link set lo up
	printf -v "$1" %s "$name"
}

# addresses NS DEV NET HOST: 10.NET.0.HOST and fdNET::HOST; device up.
addresses()
{
	ip -n "$1" link set "$2" up
	ip -n "$1" addr add "10.$3.0.$4/24" dev "$2"
	ip -n "$1" addr add "fd$3::$4/64" dev "$2" nodad
}

# veth_pair NS1 DEV1 NS2 DEV2 NET: both ends with addresses .1 and .2.
veth_pair()
{
	ip -n "$1" link add "$2" type veth peer name "$4" netns "$3"
	addresses "$1" "$2" "$5" 1
	addresses "$3" "$4" "$5" 2
}

# device NAME NS LINK...: a link that this kernel may not know; a SKIP line
# for NAME when it does not.
device()
{
	local name=$1 ns=$2 why
	shift 2
	why=$(ip -n "$ns" link add "$@" 2>&1) && return 0
	skip "$name" "${why//$'\n'/ }"
	return 1
}

# tun_link KIND NAME NS1 NS2 NET: a device of that name in both namespaces, of
# traffic.py's KIND, with addresses .1 and .2 and a wire between them. A SKIP
# line for KIND and false where there is no such driver.
tun_link()
{
	modprobe -q tun 2>/dev/null || :
	if [ ! -e /dev/net/tun ]; then
		skip "$1" "there is no /dev/net/tun"
		return 1
	fi
	traffic_daemon link "$1" "$3/$2" "$4/$2"
	addresses "$3" "$2" "$5" 1
	addresses "$4" "$2" "$5" 2
}

# in_ns NS COMMAND...: in place of this shell, so for background jobs and
# subshells; in place of the test itself it would seem to have passed. "-" is
# the namespace of the test itself.
in_ns()
{
	local ns=$1
	shift
	if [ "$BASHPID" = $$ ]; then
		fail in_ns "the test would end here: $*"
		exit 1
	fi
	if [ "$ns" = - ]; then exec "$@"; else exec ip netns exec "$ns" "$@"; fi
}

# --- captures ---------------------------------------------------------------
# A capture is a tcpdump that writes $scratch/NAME.pcap; its messages are in
# NAME.err and its pid in pid[NAME].

declare -A pid=()

# capture NAME NS RUNNER DEVICE [OPTION...]: start, and wait until it listens.
# RUNNER is "plain" or "ours".
capture()
{
	local name=$1 ns=$2 runner=$3 device=$4 run=()
	shift 4
	[ "$runner" = plain ] || run=("${ours[@]}")
	rm -f "$scratch/$name.pcap"
	: >"$scratch/$name.err"
	in_ns "$ns" "${run[@]}" tcpdump -i "$device" -U -n \
	    -w "$scratch/$name.pcap" "$@" 2>"$scratch/$name.err" &
	pid[$name]=$!
	wait_for 15 listening "$name" && ! gone "${pid[$name]}"
}

listening()
{
	grep -q 'listening on' "$scratch/$1.err" || gone "${pid[$1]}"
}

# has_mark NAME MARK: the marker packet is in the capture's file by now.
has_mark()
{
	tail -c 65536 "$scratch/$1.pcap" 2>/dev/null |
	    grep -qa "ebpftls-mark:$2;"
}

marked_or_gone() { has_mark "$1" "$2" || gone "${pid[$1]}"; }

# capture_end NAME...: SIGINT, and wait until they are gone.
capture_end()
{
	local name rc=0
	for name; do
		kill -INT "${pid[$name]}" 2>/dev/null || :
	done
	for name; do
		wait_for 10 gone "${pid[$name]}" ||
		    kill -9 "${pid[$name]}" || :
		wait "${pid[$name]}" || rc=1
	done
	return $rc
}

nothing_dropped() { grep -q '^0 packets dropped by kernel' "$scratch/$1.err"; }

# pair NAME NS DEVICE [OPTION...]: plain (NAME.a) and ours (NAME.b), the same
# options, side by side. The device may be IFACE@NETNS for ours.
pair()
{
	local name=$1 ns=$2 device=$3
	shift 3
	capture "$name.a" "$ns" plain "$device" "$@" ||
	    { fail "$name" "plain tcpdump did not start"
	      detail "$scratch/$name.a.err"; return 1; }
	capture "$name.b" "$ns" ours "$DEVPREFIX$device" "$@" ||
	    { fail "$name" "tcpdump on $DEVPREFIX$device did not start"
	      detail "$scratch/$name.b.err"; return 1; }
}

# pair_end MARK NAME...: wait until both files of each pair have the marker,
# then end the captures.
pair_end()
{
	local mark=$1 name side rc=0
	shift
	for name; do
		for side in a b; do
			wait_for 15 marked_or_gone "$name.$side" "$mark" || :
			has_mark "$name.$side" "$mark" && continue
			fail "$name" "marker $mark never came to $name.$side"
			rc=1
		done
	done
	pair_stop "$@" && return $rc
}

# blind_end NAME...: the same for pairs in immediate mode whose files cannot
# show the marker. Another pair, not in immediate mode, has shown it: so what
# is still to come to these is on its way.
blind_end()
{
	local name
	for name; do
		wait_for 5 drained "$name" ||
		    echo "  $name: the two captures hold different amounts"
	done
	pair_stop "$@"
}

# drained NAME: both sides of the pair wait for packets and hold equally many.
drained()
{
	[ "$(pstate "${pid[$1.a]}")$(pstate "${pid[$1.b]}")" = SS ] &&
	    [ "$(count "$1.a")" = "$(count "$1.b")" ]
}

# pair_stop NAME...: end both captures of each pair, which must say that they
# lost nothing.
pair_stop()
{
	local name rc=0
	for name; do
		capture_end "$name.a" "$name.b" &&
		    nothing_dropped "$name.a" && nothing_dropped "$name.b" &&
		    continue
		fail "$name" "a tcpdump dropped packets or ended with an error"
		detail "$scratch/$name.a.err"
		detail "$scratch/$name.b.err"
		rc=1
	done
	return $rc
}

# count NAME: how many packets a capture's file holds, and how many of them are
# cut short.
count() { "$PYTHON" "$TESTS/pcapcmp.py" count "$scratch/$1.pcap"; }

traffic() { "$PYTHON" "$TESTS/traffic.py" "$@"; }

# traffic_daemon COMMAND...: one that runs until the test ends; it is ready.
traffic_daemon()
{
	local out
	out=$(mktemp "$scratch/daemon.XXXXXX")
	"$PYTHON" "$TESTS/traffic.py" "$@" >"$out" &
	at_exit "kill $! 2>/dev/null"
	wait_for 10 grep -q ready "$out"
}

# cases LOG CASE...: traffic between the ends $near and $far of a link, with
# markers; false and a FAIL line for LOG if the generator stopped. With $prefix
# before their names the cases add to those that the log has.
cases()
{
	local log=$1
	shift
	[ -n "${prefix:-}" ] || rm -f "$scratch/$log.log"
	traffic run --near "$near" --far "$far" --log "$scratch/$log.log" \
	    --prefix "${prefix:-}" "$@" 2>"$scratch/$log.traffic" && return 0
	fail "$log/traffic" "the generator stopped"
	detail "$scratch/$log.traffic" 12
	return 1
}

# judge NAME LOG [OPTION...]: compare the two files of a pair over the cases
# of a log. The result lines come from the judge; $title may name them.
judge()
{
	local name=$1 log=$2
	shift 2
	! plain || set -- --unordered "$@"
	set -- --limit "${STAMP_LIMIT:-1}" "$@"
	"$PYTHON" "$TESTS/pcapcmp.py" --label "${title:-$name}" \
	    --log "$scratch/$log.log" "$@" "$scratch/$name.a.pcap" \
	    "$scratch/$name.b.pcap" || failures=$((failures + 1))
}

# --- somebody else's TC programs ----------------------------------------------

# bpffs: a bpf file system at $bpf, for the programs of bpfprog.
bpffs()
{
	bpf=$scratch/bpf
	mkdir "$bpf"
	mount -t bpf bpf "$bpf"
	at_exit 'umount "$bpf"'
}

# bpfprog COMMAND NAME ARG...: netns/bpfprog.py on the folder NAME.
bpfprog()
{
	local command=$1 name=$2
	shift 2
	mkdir -p "$bpf/$name"
	"$PYTHON" "$TESTS/netns/bpfprog.py" "$command" "$bpf/$name" "$@"
}
