# Programs that speak TLS, for the rows of the matrix: how each serves, how
# each asks, and what is captured of it.
#
# Sourced after ../lib.sh. A row is a library and program at one end, a version
# and a way of shaking hands; it makes requests of paths of its own. The other
# end is peer.py on a library that cannot be looked into (blind.py), so that
# only the row's own end can be the source of the secrets. With DEVPREFIX=
# empty the peer logs its keys, and these go into the capture of plain tcpdump:
# everything must decrypt then, which proves the rows.
#
# shellcheck shell=bash source=tests/lib.sh

HERE=$TESTS/tls
# shellcheck disable=SC2154
made=$scratch/made.log		# requests that were answered
rows=$scratch/rows		# what judge.py judges
peer_keys=$scratch/peer.keys	# what peers log, when plain
cert=$scratch/cert.pem key=$scratch/key.pem
last_port=4430
unknown_ports="50000 54000"
export HOME=$scratch		# stock tshark, stock everything

# --- what the rows stand on -------------------------------------------------

tls_setup()
{
	: >"$made"
	: >"$rows"
	: >"$peer_keys"
	chmod 644 "$made" "$rows"
	ns_make A
	# Ports that tshark does not know: it takes a client's for a protocol's
	# where that is one's own.
	ip netns exec "$A" sysctl -qw net.ipv4.ip_local_port_range="$unknown_ports"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -days 30 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 \
	    -keyout "$key" -out "$cert" 2>"$scratch/cert.err"
	chmod 644 "$key"
	blind_library
	serve peer peer_serve
	await_servers
}

# The library of the peers, in a folder that their linker looks into first.
blind_library()
{
	blind "$(ldd "$("$PYTHON" -c 'import _ssl; print(_ssl.__file__)')" |
	    awk '$1 ~ /^libssl/ { print $3 }')" "$scratch/blind"
}

# blind LIBRARY FOLDER
blind()
{
	mkdir "$2"
	"$PYTHON" "$HERE/blind.py" "$1" "$2/${1##*/}"
}

# peer COMMAND...: peer.py as the end that is not looked into.
peer()
{
	local command=$1 env=(LD_LIBRARY_PATH="$scratch/blind") keylog=()
	shift
	if plain; then
		env=() keylog=(--keylog "$peer_keys")
	fi
	in_ns "$A" env "${env[@]}" "$PYTHON" "$HERE/peer.py" "$command" \
	    "${keylog[@]}" --log "$made" "$@"
}

# peer_openssl COMMAND...: the same for OpenSSL's own client and server.
peer_openssl()
{
	if plain; then
		in_ns "$A" openssl "$1" -keylogfile "$peer_keys" "${@:2}"
	else
		in_ns "$A" env LD_LIBRARY_PATH="$scratch/blind" openssl "$@"
	fi
}

# peer_serve OPTION...
peer_serve()
{
	peer serve --port "$port" --cert "$cert" --key "$key" "$@"
}

# go_builds: both builds of the Go program, from the last run if they are new.
go_builds()
{
	local out=$BUILD/test/tls

	mkdir -p "$out"
	go_build "$out/go-stripped" -ldflags '-s -w' &&
	    go_build "$out/go-pie" -buildmode=pie
}

go_build()
{
	local out=$1
	shift
	[ "$out" -ot "$HERE/https.go" ] || return 0
	env GOPATH="$scratch/go" GOCACHE="$BUILD/test/tls/go-cache" \
	    GO111MODULE=off GOFLAGS= go build "$@" -o "$out" "$HERE/https.go" \
	    2>"$scratch/go.err"
}

# --- other suites -----------------------------------------------------------

# The command before a program that makes it one of a suite's chroot; empty for
# programs of this machine.
inside=()

# suite_root SUITE PACKAGE...: a container of the suite's programs, on overlay
# file systems as container managers make them, in $root. False, with a SKIP
# line, if the archive does not serve them.
suite_root()
{
	local dir=$BUILD/download/tls/$1-$2 over=$scratch/over/$1 why

	if ! timeout 120 sh "$HERE/fetch" "$1" "$dir" "${@:2}" \
	    >"$scratch/fetch.$1" 2>&1; then
		why=$(cat "$dir/why" 2>/dev/null) || why="it took too long"
		skip "$1" "$why"
		return 1
	fi
	root=$scratch/root/$1
	mkdir -p "$scratch/over" "$root"
	if ! mountpoint -q "$scratch/over"; then
		mount -t tmpfs tmpfs "$scratch/over"
		at_exit 'umount -l "$scratch/over"'
	fi
	mkdir -p "$over/upper" "$over/work"
	mount -t overlay -o "lowerdir=$dir/root,upperdir=$over/upper,workdir=$over/work" \
	    overlay "$root"
	at_exit "umount -l '$root'"
	mkdir -p "$root/dev" "$root/etc" "$root$scratch"
	echo "root:x:0:0:root:/:/bin/sh" >"$root/etc/passwd"
	echo "root:x:0:" >"$root/etc/group"
	mount --bind /dev "$root/dev"
	at_exit "umount -l '$root/dev'"
	mount --bind "$scratch" "$root$scratch"
	at_exit "umount -l '$root$scratch'"
}

# have NAME PROGRAM: true if there is such a program here, else a SKIP line.
have()
{
	command -v "$2" >/dev/null || {
		skip "$1" "there is no $2"
		return 1
	}
}

# --- servers ----------------------------------------------------------------
# A server is a function that becomes a program which serves on $port. Its port
# is ports[NAME] then, its output $scratch/NAME.out.

declare -A ports=() jobs=()

serve()
{
	local name=$1
	shift
	last_port=$((last_port + 1))
	ports[$name]=$last_port
	port=$last_port "$@" </dev/null >"$scratch/$name.out" 2>&1 &
	jobs[$name]=$!
	at_exit "kill $! 2>/dev/null"
}

# await_servers: until each that was started listens. Those that do not are
# struck from the list, with a FAIL line.
await_servers()
{
	local name

	wait_for 20 all_listen || :
	for name in "${!ports[@]}"; do
		listens "${ports[$name]}" && continue
		fail "$name server" "it does not listen"
		detail "$scratch/$name.out"
		unset "ports[$name]"
	done
}

all_listen()
{
	local name

	sockets=$(ip netns exec "$A" ss -Hltn)
	for name in "${!ports[@]}"; do
		listens "${ports[$name]}" || gone "${jobs[$name]}" || return 1
	done
}

listens() { grep -q ":$1 " <<<"$sockets"; }

# program COMMAND...: in the namespace, and in the chroot if there is one.
program() { in_ns "$A" "${inside[@]}" "$@"; }

serve_openssl()
{
	program openssl s_server -accept "127.0.0.1:$port" -www -quiet \
	    -cert "$cert" -key "$key" "$@"
}

serve_gnutls()
{
	program gnutls-serv -q "${@:--a}" -p "$port" --http \
	    --x509certfile "$cert" --x509keyfile "$key"
}

serve_nginx()
{
	local dir=$scratch/nginx$port

	set -- "${1:-}"
	mkdir "$dir"
	cat >"$dir/conf" <<-EOT
	daemon off;
	user root;
	worker_processes ${workers:-2};
	pid $dir/pid;
	error_log stderr;
	events { }
	http {
		access_log off;
		client_body_temp_path $dir;
		proxy_temp_path $dir;
		fastcgi_temp_path $dir;
		uwsgi_temp_path $dir;
		scgi_temp_path $dir;
		server {
			listen 127.0.0.1:$port ssl;
			${1//PORT/$port}
			ssl_certificate $cert;
			ssl_certificate_key $key;
			ssl_protocols TLSv1.2 TLSv1.3;
			location / { return 200 "\$request_uri\n"; }
		}
	}
	EOT
	program nginx -c "$dir/conf" -p "$dir"
}

serve_bssl()
{
	program bssl-tool server -accept "$port" -cert "$cert" -key "$key" \
	    -www -loop "$@"
}

serve_node()
{
	program /usr/bin/node "$HERE/https.js" serve "$port" "$cert" "$key" "$@"
}

# serve_go BUILD [GROUP]
serve_go()
{
	program "$BUILD/test/tls/$1" serve "$port" "$cert" "$key" "${@:2}"
}

serve_python()
{
	program "$PYTHON" "$HERE/peer.py" serve --port "$port" --cert "$cert" \
	    --key "$key" "$@"
}

# --- clients ----------------------------------------------------------------
# ask_PROGRAM VERSION MODE PATH...: a connection to $port for each path, with
# the further options of $extra.

extra=()

# with_request PATH COMMAND...: the request comes from a standard input that
# never ends: the program does when the server has closed.
with_request()
{
	local path=$1
	shift
	rm -f "$scratch/request"
	mkfifo "$scratch/request"
	{
		printf 'GET %s HTTP/1.1\r\nHost: localhost\r\n' "$path" >&3
		printf 'Connection: close\r\n\r\n' >&3
		timeout $((10 * ${SLOW:-1})) "$@" <&3 3>&-
	} 3<>"$scratch/request"
}

# In a shell of its own, as it becomes the program.
client() { (in_ns "$A" timeout $((20 * ${SLOW:-1})) "${inside[@]}" "$@"); }

ask_openssl()
{
	local version=$1 mode=$2 path session=()
	local file=$scratch/session.openssl
	shift 2
	for path; do
		with_request "$path" ip netns exec "$A" "${inside[@]}" \
		    openssl s_client -quiet -connect "127.0.0.1:$port" \
		    "-tls${version/./_}" -sess_out "$file" "${session[@]}" \
		    "${extra[@]}"
		[ "$mode" = full ] || session=(-sess_in "$file")
	done
}

# s_time repeats one path for a second.
ask_s_time()
{
	local kind=new
	[ "$2" = full ] || kind=reuse
	client openssl s_time -connect "127.0.0.1:$port" -time 1 "-$kind" \
	    "-tls${1/./_}" -www "$3"
}

ask_curl()
{
	local version=$1 options=()
	[ "$2" = resumed ] || options=(--no-sessionid)
	shift 2
	client curl -sSk "--tlsv$version" --tls-max "$version" --http1.1 \
	    "${options[@]}" "${extra[@]}" "${@/#/https://127.0.0.1:$port}"
}

ask_gnutls()
{
	local version=$1 mode=$2 path options=()
	[ "$mode" = full ] || options=(-r)
	shift 2
	for path; do
		with_request "$path" ip netns exec "$A" "${inside[@]}" \
		    gnutls-cli --insecure -p "$port" "${options[@]}" \
		    "${extra[@]}" \
		    --priority "NORMAL:-VERS-ALL:+VERS-TLS$version" 127.0.0.1
	done
}

ask_bssl()
{
	local version=$1 mode=$2 path file=$scratch/session.bssl
	local session=(-session-out "$file")
	shift 2
	for path; do
		with_request "$path" ip netns exec "$A" "${inside[@]}" \
		    bssl-tool client -connect "127.0.0.1:$port" \
		    -min-version "tls$version" -max-version "tls$version" \
		    "${session[@]}" "${extra[@]}"
		[ "$mode" = full ] || session=(-session-in "$file")
	done
}

ask_node() { client /usr/bin/node "$HERE/https.js" get "$port" "$@"; }

ask_go-stripped() { client "$BUILD/test/tls/go-stripped" get "$port" "$@"; }
ask_go-pie() { client "$BUILD/test/tls/go-pie" get "$port" "$@"; }

ask_python()
{
	local version=$1 options=()
	[ "$2" = full ] || options=(--resume)
	shift 2
	client "$PYTHON" "$HERE/peer.py" get --port "$port" \
	    --version "$version" "${options[@]}" "${extra[@]}" "$@"
}

ask_asyncio() { ask_python "$1" "$2" --asyncio "${@:3}"; }

# Its path is a page, which makes it ask for more.
ask_chromium()
{
	(in_ns "$A" timeout 40 chromium --headless --no-sandbox \
	    --disable-gpu --disable-dev-shm-usage \
	    --disable-background-networking --ignore-certificate-errors \
	    --user-data-dir="$scratch/chromium" --ssl-version-max="tls$1" \
	    --dump-dom "https://127.0.0.1:$port$3")
}

# --- programs that talk -----------------------------------------------------
# For where a request for each connection does not do.

# talk NAME COMMAND...: a program whose standard input, to which "say" writes,
# never ends. Its output is $scratch/NAME.out.
talk()
{
	local name=$1
	shift
	rm -f "$scratch/$name.in"
	mkfifo "$scratch/$name.in"
	"$@" <>"$scratch/$name.in" >"$scratch/$name.out" 2>&1 &
	jobs[$name]=$!
	at_exit "kill $! 2>/dev/null"
}

# say NAME TEXT: with the escapes of printf, and all at once.
say()
{
	printf '%b' "$2" >"$scratch/saying"
	cat "$scratch/saying" >"$scratch/$1.in"
}

said() { grep -qa -- "$2" "$scratch/$1.out"; }

hush()
{
	local name
	for name; do
		kill "${jobs[$name]}" 2>/dev/null || :
		wait_for 5 gone "${jobs[$name]}" || kill -9 "${jobs[$name]}"
		wait "${jobs[$name]}" 2>/dev/null || :
	done
}

# talk_server COMMAND...: a server that talks, "server", on $port.
talk_server()
{
	talk server "$@"
	wait_for 10 bound "$port" || :
}

bound() { ip netns exec "$A" ss -Hlntu | grep -q ":$1 "; }
new_port() { last_port=$((last_port + 1)) port=$last_port; }

# --- rows -------------------------------------------------------------------

# row NAME ROLE VERSION MODE COUNT HANDSHAKE HOW
row() { echo "$*" >>"$rows"; }

# paths COUNT NAME ROLE VERSION MODE: the row's paths, in the array $paths.
paths()
{
	local i
	paths=()
	for ((i = 1; i <= $1; i++)); do
		paths+=("/$2/$3/$4/$5/$i")
	done
}

# server_rows NAME: requests to that server.
server_rows()
{
	local name=$1 version mode options
	[ -n "${ports[$name]:-}" ] || return 0
	for version in 1.2 1.3; do
		for mode in full resumed; do
			paths 3 "$name" server $version $mode
			row "$name" server $version $mode 3 $mode http
			options=()
			[ $mode = full ] || options=(--resume)
			(peer get --port "${ports[$name]}" --version $version \
			    "${options[@]}" "${paths[@]}") || :
		done
	done >"$scratch/$name.asked" 2>&1
}

# client_rows NAME PROGRAM [MODE...]: requests by that program to the peer.
client_rows()
{
	local name=$1 program=$2 version mode port=${ports[peer]}
	shift 2
	[ $# -gt 0 ] || set -- full resumed
	for version in 1.2 1.3; do
		for mode; do
			paths 3 "$name" client $version $mode
			row "$name" client $version $mode 3 $mode http
			"ask_$program" $version $mode "${paths[@]}" || :
		done
	done >"$scratch/$name.client" 2>&1
}

# hidden_rows: where neither end can be looked into, nothing is decrypted. If
# it is, the other rows do not show what they are to show.
hidden_rows()
{
	local version
	for version in 1.2 1.3; do
		paths 3 nobody client $version hidden
		row nobody client $version hidden 3 full hidden
		(in_ns "$A" env LD_LIBRARY_PATH="$scratch/blind" "$PYTHON" \
		    "$HERE/peer.py" get --port "${ports[hidden]}" \
		    --version $version "${paths[@]}") || :
	done >"$scratch/hidden.client" 2>&1
}

serve_hidden()
{
	in_ns "$A" env LD_LIBRARY_PATH="$scratch/blind" "$PYTHON" \
	    "$HERE/peer.py" serve --log "$made" --port "$port" \
	    --cert "$cert" --key "$key"
}

# browser_rows: pages with pictures, which a browser fetches at once and by
# handshakes of its own choice.
browser_rows()
{
	local version port=${ports[peer]}
	for version in 1.2 1.3; do
		row boringssl-chromium client $version page 5 any http
		ask_chromium $version page \
		    /boringssl-chromium/client/$version/page/page-4 || :
	done >"$scratch/chromium.client" 2>&1
}

# --- other things that the machine does ---------------------------------------

loops=()

# busy N: as many loops that want a CPU each; they end with the test.
busy()
{
	local i
	for ((i = 0; i < $1; i++)); do
		(while :; do :; done) &
		loops+=($!)
		at_exit "kill $! 2>/dev/null"
	done
}

# --- captures ---------------------------------------------------------------

# watch NAME: capture all that the namespace's loopback carries.
watch()
{
	capture "$1" "$A" ours "${DEVPREFIX}lo" -B 65536 ||
	    { fail "$1" "tcpdump on ${DEVPREFIX}lo did not start"
	      detail "$scratch/$1.err"; exit 1; }
}

# watch_end NAME: the capture ends when it has all; its file, with the peers'
# keys in it when plain, is $file.
watch_end()
{
	file=$scratch/$1.pcap
	traffic mark --near "$A/lo" --far "$A/lo" end
	wait_for 15 marked_or_gone "$1" end || :
	if ! capture_end "$1" || ! nothing_dropped "$1"; then
		fail "$1" "tcpdump dropped packets or ended with an error"
		detail "$scratch/$1.err"
	fi
	if plain; then
		editcap --inject-secrets "tls,$peer_keys" "$file" \
		    "$scratch/$1.pcapng" 2>/dev/null
		file=$scratch/$1.pcapng
	fi
}

# judge_rows: a result for each row so far.
judge_rows()
{
	"$PYTHON" "$HERE/judge.py" rows "$rows" "$made" "$file" ||
	    failures=$((failures + 1))
}

# --- a pipe -----------------------------------------------------------------
# What goes through it is copied to $scratch/NAME.pcap, and how long each
# datagram of send took is told at its end.

# send PHASE SECONDS
send() { in_ns "$A" "$PYTHON" "$HERE/delays.py" send 127.0.0.1 "$@"; }

# pipe_begin NAME OPTIONS: tcpdump writes to who knows when a packet comes.
pipe_begin()
{
	rm -f "$scratch/pipe"
	mkfifo "$scratch/pipe"
	: >"$scratch/$1.err"
	(in_ns "$A" "${ours[@]}" tcpdump -i "${DEVPREFIX}lo$2" -U -n \
	    --immediate-mode -w - 2>"$scratch/$1.err") >"$scratch/pipe" &
	pid[$1]=$!
	"$PYTHON" "$HERE/delays.py" read "$scratch/$1.pcap" <"$scratch/pipe" \
	    >"$scratch/$1.delays" &
	reader=$!
	wait_for 15 listening "$1"
}

pipe_end()
{
	traffic mark --near "$A/lo" --far "$A/lo" end
	wait_for 15 marked_or_gone "$1" end || :
	has_mark "$1" end || {
		fail "$1" "the end never came; tcpdump said last:"
		detail "$scratch/$1.err"
	}
	capture_end "$1" || fail "$1" "tcpdump ended with an error"
	wait "$reader"
}

# phase NAME PHASE: $count, $median and $longest, in milliseconds, and $said.
phase()
{
	read -r _ count median longest < <(grep "^$2 " "$scratch/$1.delays" ||
	    echo "$2 0 0 0") || :
	said="of $count packets the median came after $median ms,"
	said="$said the last after $longest ms"
	echo "  $1, $2: $said"
}

# at_once NAME PHASE: nearly every packet came so. Not all, as the machine may
# be busy; but if they waited, all would.
at_once()
{
	phase "$@"
	check "$1/$2" "$said" test "$count" -gt 0 -a "$median" -lt 50
}
