# Answers as cert-manager's acmesolver does: one path of one host with the key authorization, everything else with 404.
import argparse
import http.server
import signal
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--listen-port", type=int)
for name in ("--domain", "--token", "--key"):
    parser.add_argument(name)
challenge = parser.parse_args()


class Solver(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        host = self.headers.get("Host", "").split(":")[0]
        is_asked = (host, self.path) == (challenge.domain, "/.well-known/acme-challenge/" + challenge.token)
        body = (challenge.key if is_asked else f"no challenge: {host}{self.path}").encode()
        self.send_response(200 if is_asked else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# The first process of a Pod is sent SIGTERM in vain unless it asks for it.
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
http.server.ThreadingHTTPServer(("", challenge.listen_port), Solver).serve_forever()
