# What a test does on this machine that runs inside guests: once for each
# kernel of the list "kernels", with all that it prints named after it.
#
# Sourced; "$here" is this folder. A guest may take VM_LIMIT seconds.
#
# shellcheck shell=bash

: "${TOP:=$(cd "$here/../.." && pwd)}"
: "${BUILD:=$TOP/build}"

# run_guest KERNEL COMMAND...
run_guest()
{
	local kernel=$1 folder=$BUILD/vm/$1 log=$BUILD/vm/$1.log
	shift
	mkdir -p "$BUILD/vm"
	"$here/fetch-kernel" "$kernel" "$folder" >"$log" 2>&1 || {
		sed 's/^/  | /' "$log"
		echo "FAIL $kernel: the kernel could not be fetched"
		return 1
	}
	{
		bash "$here/vm-run" -t "${VM_LIMIT:-900}" "$folder" env \
		    TOP="$TOP" BUILD="$BUILD" "$@" 2>&1 ||
		    echo "end: status $?"
	} | sed -uE "s,^(PASS|FAIL|SKIP) ,&$kernel/,; s/^end:/FAIL $kernel:/" |
	    tee "$log"
	! grep -q '^FAIL ' "$log"
}

# all_guests COMMAND...
all_guests()
{
	local kernel status=0
	for kernel in $(awk '!/^#/ { print $1 }' "$here/kernels"); do
		run_guest "$kernel" "$@" </dev/null || status=1
	done
	return $status
}

# warm_up: what is read for the first time takes long over 9p; bounds are meant
# for what comes then. Inside, with tests/lib.sh.
warm_up()
{
	traffic run --help >"$scratch/warm"
	ip netns list
	tcpdump --version >"$scratch/warm" 2>&1
	"${ours[@]}" tcpdump -L -i ebpftls:lo >"$scratch/warm" 2>&1 ||
	    detail "$scratch/warm"
}
