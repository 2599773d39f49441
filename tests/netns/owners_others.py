"""What others do with a socket that is not theirs: they close it for good, or
let its packets go. None of them is its owner."""

import subprocess

from owners_cases import ANY, UDP, V4, Skip, last_line, meet, server, talk



def borrowed(path):
    """A helper gets the descriptor, and is the last to close it."""
    for _, cli, srv, there in path.both():
        for side in ("client", "worker"):
            port, worker, client = path.port(), srv(b"borsrv"), cli(b"borcli")
            server(worker, V4, port)
            meet(client, worker, (there.address[V4], port))
            talk(client, worker, 1)
            holder, other, start = (client, worker, cli) \
                if side == "client" else (worker, client, srv)
            helper = start(b"borrower")
            try:
                helper("borrow", "c", holder.pid, *holder("number", "c"))
            except RuntimeError as error:
                raise Skip(last_line(error)) from error
            path.end(holder)
            helper("close", "c", last=False)
            other("recv", "c")
            other("close", "c")
            path.end(helper)


def queued(path):
    """On its way to another process, it is closed with the way."""
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"quesrv"), cli(b"quecli")
        server(worker, V4, port)
        meet(client, worker, (there.address[V4], port))
        talk(client, worker, 1)
        client("post", "c")
        child = client.fork(b"quechild")
        child("close", "c", last=False)
        path.end(client)
        child("unpost")
        worker("recv", "c")
        worker("close", "c")
        child.gone()


def killed(path):
    """An administrator ends it."""
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"kilsrv"), cli(b"kilcli")
        server(worker, V4, port)
        meet(client, worker, (there.address[V4], port))
        talk(client, worker, 1)
        done = subprocess.run(
            ["ip", "netns", "exec", there.ns, "ss", "-tKnH", "state",
             "established", "sport", "=", str(port)], check=True,
            capture_output=True)
        if not done.stdout:
            raise Skip("the kernel does not end connections for others")
        client("recv", "c")
        worker("recv", "c")
        client("close", "c", last=False)
        worker("close", "c", last=False)


def neighbour_told(path):
    """A datagram waits for an address that another process tells."""
    for _, cli, srv, there in path.both():
        here = path.near_end if there is path.far_end else path.far_end
        port, client = path.port(), cli(b"telcli")
        nobody = there.address[V4].rsplit(".", 1)[0] + ".77"
        client("open", "c", V4, UDP)
        client("bind", "c", (ANY[V4], path.port()))
        for _ in range(3):
            client("send", "c", b"where?", (nobody, port))
            subprocess.run(["ip", "-n", here.ns, "neigh", "replace", nobody,
                            "lladdr", "02:00:00:00:00:77", "dev",
                            here.device], check=True)
            subprocess.run(["ip", "-n", here.ns, "neigh", "del", nobody,
                            "dev", here.device], check=True)
        srv(b"telsrv")


def judged(path):
    """Netfilter has another process decide which datagrams may go."""
    for _, cli, srv, there in path.both():
        here = path.near_end if there is path.far_end else path.far_end
        port, client, worker = path.port(), cli(b"judcli"), srv(b"judsrv")
        rule = ["OUTPUT", "-p", "udp", "--dport", str(port), "-j", "NFQUEUE",
                "--queue-num", "1"]
        tool = ["ip", "netns", "exec", here.ns, "iptables", "-w"]
        try:
            done = subprocess.run([*tool, "-A", *rule], capture_output=True,
                                  check=False)
        except FileNotFoundError as error:
            raise Skip(str(error)) from error
        if done.returncode:
            raise Skip(done.stderr.decode().strip().split("\n", 1)[0])
        judge = cli(b"judge")
        judge("sit", 1)
        server(worker, V4, port, UDP)
        client("open", "c", V4, UDP)
        client("connect", "c", (there.address[V4], port))
        for _ in range(3):
            judge.begin("let_go", 1)
            client("send", "c", b"may I?")
            judge.end()
            worker("recv", "l")
        subprocess.run([*tool, "-D", *rule], check=True)
        path.end(judge)


CASES = {"borrowed": borrowed, "queued": queued,
         "killed": killed, "neighbour-told": neighbour_told, "judged": judged}
NOT_ON_LO = {"neighbour-told"}
