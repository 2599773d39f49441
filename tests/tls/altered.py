"""TLS connections between two ends in one process, shown on the wire.

altered.py CERT KEY HOW...

What either end says goes to the other one in memory, and over a TCP connection
on lo, one for each HOW: "as-is", or "altered", with another random in the
ClientHello than the one that the secrets are for.
"""

import socket
import ssl
import sys

RANDOM = slice(11, 43)  # of the first record


class End:
    """One that speaks into memory."""

    def __init__(self, context, sock, server):
        self.heard = ssl.MemoryBIO()
        self.says = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.heard, self.says, server_side=server)
        self.sock = sock

    def works(self, action):
        """Whether that is done, or waits for the other end."""
        try:
            action()
        except ssl.SSLWantReadError:
            return False
        return True


def carry(giver, taker, alter):
    said = bytearray(giver.says.read())
    if not said:
        return
    taker.heard.write(said)
    if alter:
        said[RANDOM] = bytes(byte ^ 1 for byte in said[RANDOM])
    giver.sock.sendall(said)
    while said:
        del said[:len(taker.sock.recv(len(said)))]


def connect():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname(), 15)
        far = listener.accept()[0]
    return near, far


def main():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(sys.argv[1], sys.argv[2])
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    for how in sys.argv[3:]:
        near, far = connect()
        asks = End(client, near, False)
        gives = End(server, far, True)
        alter = how == "altered"
        shaken = [False, False]
        while not all(shaken):
            shaken[0] = asks.works(asks.tls.do_handshake)
            carry(asks, gives, alter)
            alter = False
            shaken[1] = gives.works(gives.tls.do_handshake)
            carry(gives, asks, False)
        asks.tls.write(b"a secret")
        carry(asks, gives, False)
        if gives.tls.read() != b"a secret":
            sys.exit("it is not what was said")
        near.close()
        far.close()


main()
