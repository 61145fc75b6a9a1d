# A service that knows users, asked over HTTP by the broker. Says its port, then
# each question as a line.
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Accounts(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        user, good = asked["username"], asked["password"] == asked["username"] + "!"
        print("asked", user, asked["protocol"], asked["clientid"], self.headers["Authorization"], flush=True)
        if user == "slow":
            time.sleep(30)
        if user == "broken":
            self.send_error(500)
        elif user == "unknown":
            self.answer(204)
        elif user == "shut":
            self.answer(403)
        elif not good:
            self.answer(200, {"result": "deny"})
        else:
            self.answer(200, {"result": "allow", "publish": ["home/%u/#"], "subscribe": ["home/#"]})

    def answer(self, status, body=None):
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Accounts)
server.daemon_threads = True
print("port", server.server_port, flush=True)
server.serve_forever()
