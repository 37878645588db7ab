"""The part of Kubernetes' API that Snakemake's plug-in uses: records every request, and runs jobs that it is told to.

A job runs as in its pod: its command with the variables of its secret alone, in an empty folder. Left out is the
plug-in's `pip install` of storage plug-ins, which asks the network for what is here.
"""

import base64
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

PLACE = re.compile(r"/(?:api|apis)/(?:v1|batch/v1)/namespaces/[^/]+/(\w+)(?:/([^/?]+))?")
KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "PYTHONPATH", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


class Api(ThreadingHTTPServer):
    """Listens on loopback; pods have folders below `place`, and those of `rule` alone run, others fail."""

    def __init__(self, place: Path, rule: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.place, self.rule = place, rule
        self.secrets, self.jobs = dict[str, Any](), dict[str, Any]()
        self.changed = dict[str, str]()
        """Values of secrets to be given to jobs in place of the true ones."""
        self.codes, self.logs = dict[str, int](), dict[str, str]()
        place.mkdir(parents=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def kubeconfig(self) -> Path:
        address = f"http://127.0.0.1:{self.server_address[1]}"
        file = self.place / "kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
            "clusters": [{"name": "here", "cluster": {"server": address}}],
            "users": [{"name": "here", "user": {"token": "none"}}],
        }
        file.write_text(yaml.safe_dump(content))
        return file

    def folder(self, name: str) -> Path:
        return self.place / name

    def start(self, name: str) -> None:
        container = self.jobs[name]["spec"]["template"]["spec"]["containers"][0]
        text = container["args"][1]
        if not re.search(rf"--allowed-rules '?({self.rule})\b", text):
            self.codes[name] = 1
            return
        steps = [step for step in text.split(" && ") if not step.startswith("pip install")]
        variables = {one: os.environ[one] for one in KEPT if one in os.environ}
        for one in container["env"]:
            ref = one["valueFrom"]["secretKeyRef"]
            true = base64.b64decode(self.secrets[ref["name"]]["data"][ref["key"]]).decode()
            variables[one["name"]] = self.changed.get(ref["key"], true)
        variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
        self.folder(name).mkdir()
        threading.Thread(target=self._run, args=(name, " && ".join(steps), variables), daemon=True).start()

    def _run(self, name: str, text: str, variables: dict[str, str]) -> None:
        done = subprocess.run(
            ["/bin/sh", "-c", text],
            cwd=self.folder(name),
            env=variables,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.logs[name], self.codes[name] = done.stdout, done.returncode


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind, _ = self._place()
        name = body["metadata"]["name"]
        # The client leaves out what the address says already.
        if kind == "secrets":
            self.server.secrets[name] = {"apiVersion": "v1", "kind": "Secret"} | body
        else:
            self.server.jobs[name] = {"apiVersion": "batch/v1", "kind": "Job"} | body
            self.server.start(name)
        self._answer(body, 201)

    def do_GET(self) -> None:
        kind, name = self._place()
        if kind == "pods":
            self._answer({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": []})
            return
        code = self.server.codes.get(name)
        status = {} if code is None else {"failed": 1} if code else {"succeeded": 1}
        self._answer(self.server.jobs[name] | {"status": status})

    def do_DELETE(self) -> None:
        self._answer({"apiVersion": "v1", "kind": "Status", "status": "Success"})

    def _place(self) -> tuple[str, str]:
        found = PLACE.match(self.path)
        assert found, self.path
        return found[1], found[2] or ""

    def _answer(self, body: dict[str, Any], code: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
