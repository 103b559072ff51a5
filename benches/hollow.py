#!/usr/bin/env python3
"""A hollow node for measurements at scale: hundreds of Deployments whose pods are ready, and run nowhere.

hollow.py node NAME                         serves a Node until it is told to stop: its pods are marked ready, and go when
                                            they are deleted. The rest of the cluster works on them as on any others.
hollow.py make NAMESPACE COUNT REPLICAS     makes COUNT Deployments for such a node.
hollow.py front NAMESPACE                   prints a port and serves there what users see of them: 200 while the first of
                                            them has a ready pod.
hollow.py other NAMESPACE                   another client's work meanwhile: at the end it prints of each of its requests when
                                            it began, by the wall clock, and how long it took, in nanoseconds.

The cluster is that of KUBECONFIG; its user needs a token.
"""

import concurrent.futures
import http.client
import http.server
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

TAINT = "bench.firedrill.example/hollow"


def of_kubeconfig(path):
    said = subprocess.run(
        [os.environ.get("KUBECTL", "kubectl"), "config", "view", "--raw", "--minify", "-o", "jsonpath=" + path],
        check=True, capture_output=True, text=True)
    return said.stdout


class Api:
    def __init__(self):
        self.address = urllib.parse.urlparse(of_kubeconfig("{.clusters[0].cluster.server}"))
        self.token = of_kubeconfig("{.users[0].user.token}")
        file = of_kubeconfig("{.clusters[0].cluster.certificate-authority}")
        data = of_kubeconfig("{.clusters[0].cluster.certificate-authority-data}")
        self.tls = ssl.create_default_context(cafile=file or None)
        if data:
            import base64
            self.tls.load_verify_locations(cadata=base64.b64decode(data).decode())
        self.own = threading.local()

    def connection(self, timeout=60):
        return http.client.HTTPSConnection(self.address.hostname, self.address.port, context=self.tls, timeout=timeout)

    def ask(self, method, path, body=None, kind="application/json"):
        headers = {"Authorization": "Bearer " + self.token, "Content-Type": kind, "User-Agent": "hollow"}
        for attempt in range(2):
            connection = getattr(self.own, "connection", None) or self.connection()
            self.own.connection = connection
            try:
                connection.request(method, path, json.dumps(body) if body is not None else None, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                self.own.connection = None
                if attempt:
                    raise

    def watch(self, path):
        connection = self.connection(timeout=120)
        connection.request("GET", path, headers={"Authorization": "Bearer " + self.token, "User-Agent": "hollow"})
        answer = connection.getresponse()
        for line in answer:
            yield json.loads(line)


MERGE = "application/merge-patch+json"


def ready(pod):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    conditions = [{"type": t, "status": "True", "lastTransitionTime": now}
                  for t in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]
    containers = [{"name": c["name"], "image": c["image"], "imageID": "", "ready": True, "started": True,
                   "restartCount": 0, "state": {"running": {"startedAt": now}}} for c in pod["spec"]["containers"]]
    return {"status": {"phase": "Running", "startTime": now, "podIP": "192.0.2.1", "podIPs": [{"ip": "192.0.2.1"}],
                       "conditions": conditions, "containerStatuses": containers}}


def node(name):
    api = Api()
    now = lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    size = {"cpu": "1000", "memory": "1000Gi", "pods": "10000"}

    def beat():
        condition = {"type": "Ready", "status": "True", "reason": "Hollow", "message": "no kubelet",
                     "lastHeartbeatTime": now(), "lastTransitionTime": now()}
        api.ask("PATCH", f"/api/v1/nodes/{name}/status",
                {"status": {"capacity": size, "allocatable": size, "conditions": [condition]}}, MERGE)

    api.ask("POST", "/api/v1/nodes", {
        "metadata": {"name": name, "labels": {TAINT: "true"}},
        "spec": {"taints": [{"key": TAINT, "effect": "NoSchedule"}]}})
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    pool = concurrent.futures.ThreadPoolExecutor(4)

    def tend(pod):
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        if "deletionTimestamp" in pod["metadata"]:
            api.ask("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}})
        elif pod.get("status", {}).get("phase") == "Pending":
            api.ask("PATCH", path + "/status", ready(pod), MERGE)

    def follow():
        of_node = "fieldSelector=" + urllib.parse.quote(f"spec.nodeName={name}")
        while not stop.is_set():
            try:
                _, body = api.ask("GET", f"/api/v1/pods?{of_node}")
                listed = json.loads(body)
                for pod in listed["items"]:
                    pool.submit(tend, pod)
                version = listed["metadata"]["resourceVersion"]
                for event in api.watch(f"/api/v1/pods?{of_node}&watch=1&timeoutSeconds=100&resourceVersion={version}"):
                    if event["type"] in ("ADDED", "MODIFIED"):
                        pool.submit(tend, event["object"])
                    if event["type"] == "ERROR":
                        break
            except (OSError, http.client.HTTPException, ValueError):
                stop.wait(1)

    threading.Thread(target=follow, daemon=True).start()
    while not stop.is_set():
        beat()
        stop.wait(8)
    api.ask("DELETE", f"/api/v1/nodes/{name}")
    os._exit(0)


def make(namespace, count, replicas):
    api = Api()

    def one(number):
        name = f"web-{number:03}"
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {
            "nodeSelector": {TAINT: "true"}, "tolerations": [{"key": TAINT, "operator": "Exists"}],
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "web", "image": "hollow.example/web:1"}]}}
        status, body = api.ask("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", {
            "metadata": {"name": name, "labels": labels},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}})
        if status != 201:
            raise SystemExit(f"{name}: {status} {body[:300]}")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(count)))


def front(namespace):
    api = Api()
    up = threading.Event()

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200 if up.is_set() else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    def look():
        while True:
            status, body = api.ask("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/web-000")
            seen = status == 200 and json.loads(body).get("status", {}).get("readyReplicas", 0) > 0
            up.set() if seen else up.clear()
            time.sleep(0.1)

    threading.Thread(target=look, daemon=True).start()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    print(server.server_port, flush=True)
    server.serve_forever()


def other(namespace):
    api, taken, stop = Api(), [], threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    while not stop.is_set():
        began_ns, began = time.time_ns(), time.monotonic_ns()
        status, _ = api.ask("GET", f"/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt")
        taken.append((began_ns, time.monotonic_ns() - began))
        if status != 200:
            raise SystemExit(f"another client was answered {status}")
        stop.wait(0.01)
    for began_ns, took_ns in taken:
        print(began_ns, took_ns)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["node", name]:
            node(name)
        case ["make", namespace, count, replicas]:
            make(namespace, int(count), int(replicas))
        case ["front", namespace]:
            front(namespace)
        case ["other", namespace]:
            other(namespace)
        case _:
            raise SystemExit(__doc__)
