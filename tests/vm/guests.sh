# What a test does on this machine that runs inside guests: once for each
# kernel it is to run under, with all that it prints named after it.
#
# Sourced; "$here" is this folder. A guest may take VM_LIMIT seconds.
#
# shellcheck shell=bash

: "${TOP:=$(cd "$here/../.." && pwd)}"
: "${BUILD:=$TOP/build}"

all_kernels() { awk '!/^#/ { print $1 }' "$here/kernels"; }

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
		    TOP="$TOP" BUILD="$BUILD" KERNEL="$kernel" "$@" 2>&1 ||
		    echo "end: status $?"
	} | sed -uE "s,^(PASS|FAIL|SKIP) ,&$kernel/,; s/^end:/FAIL $kernel:/" |
	    tee "$log"
	! grep -q '^FAIL ' "$log"
}
