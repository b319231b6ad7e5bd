#!/usr/bin/env bash
# People hear of what happens: a run that fails and its recovery, and too many bad rows, by a signed webhook and a log.
source "$(dirname "$0")/lib.sh"
shop; orders 1 60 > data/01.csv
cat > receiver.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        signed = "signed" if self.headers.get("webhook-signature", "").startswith("v1,") else "NOT SIGNED"
        print(f"{body['severity']:8} {body['kind']}: {body['text']}  ({signed})", flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
PY
"$PYTHON" receiver.py > heard.txt & RECEIVER=$!
trap 'kill -9 ${RECEIVER:-} ${UP:-} 2>/dev/null || true; rm -rf "$SCENE"' EXIT
for _ in $(seq 100); do [ -s heard.txt ] && break; sleep 0.1; done
cat >> headrace.toml <<TOML

[notify.oncall]
to = "http://127.0.0.1:$(head -1 heard.txt)/"
secret_env = "HOOK_SECRET"
at_least = "warning"

[notify.book]
to = "log:notices.jsonl"
TOML
export HOOK_SECRET=whsec_c2VjcmV0
until_heard() {  # until_heard FILE TEXT: it is heard within minutes
    for _ in $(seq 2000); do grep -qF -- "$2" "$1" 2> /dev/null && { printf 'heard: '; grep -m1 -F -- "$2" "$1"; return; }; sleep 0.1; done
    printf 'FAILED: never heard: %s\n' "$2" >&2; cat heard.txt up.log >&2; exit 1
}
show notify; code 0; expect "oncall"; refuse "HOOK_SECRET"
show notify oncal; code 1; expect "HR992"; expect "oncall"
show notify oncall; code 0
until_heard heard.txt "This is a test of the channel oncall.  (signed)"

"$HEADRACE" up --watch 300ms > /dev/null 2> up.log & UP=$!
until_heard up.log "published to prod"
printf '\n(a file is cut in the middle)\n'
orders 61 90 > whole.csv
head -c 400 whole.csv > data/02.csv
until_heard heard.txt "error    run failed"
printf '\n(it is whole again)\n'
cp whole.csv data/02.csv
until_heard notices.jsonl "run recovered"
printf '\n(a file with bad amounts comes in while nobody looks: the supervisor is killed)\n'
kill -9 $UP; wait $UP 2> /dev/null || true
orders 91 120 | sed 's/,9\([0-9]\),/,-9\1,/' > data/03.csv
"$HEADRACE" apply --quiet > apply.log 2>&1
"$HEADRACE" up --watch 300ms > /dev/null 2> up.log & UP=$!
until_heard heard.txt "rows were set aside"
kill -TERM $UP; wait $UP
[ "$(grep -c "run failed" heard.txt)" = 1 ] || { echo "FAILED: a failure was told more than once" >&2; cat heard.txt; exit 1; }
