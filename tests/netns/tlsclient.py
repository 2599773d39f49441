"""A TLS client that shakes hands for each line that it reads, and says so.

  tlsclient.py PORT KEYLOG [late]

late: the TLS library is loaded with the first line, not before.
"""

import sys


def shake_hands(port, keylog):
    import socket
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.keylog_filename = keylog
    with socket.create_connection(("127.0.0.1", port)) as plain:
        with context.wrap_socket(plain):
            pass


def main():
    if "late" not in sys.argv:
        import ssl  # noqa: F401
    print("ready", flush=True)
    for _ in sys.stdin:
        shake_hands(int(sys.argv[1]), sys.argv[2])
        print("done", flush=True)


if __name__ == "__main__":
    main()
