#!/usr/bin/env python3
"""Measures scale-to-zero over hundreds of deployments beside peers, and writes docs/benchmarks-scale.md anew.

scale.py BINARY                 everything, on the cluster of KUBECONFIG, which is best a lab of its own
scale.py BINARY many            only the hundreds, on a node that runs nothing
scale.py BINARY few             only the twenty, whose pods are real
scale.py BINARY stopped         for who works on the runner: the hundreds, stopped by Ctrl-C as soon as all are at zero

When a change was accepted is told by a watch of this program on the API server, not by the runner. What is made lies in
namespaces that begin with fd-scale-, and is taken away at the end.
"""

import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import hollow

HERE = pathlib.Path(__file__).resolve().parent
KUBECTL = os.environ.get("KUBECTL", "kubectl")
MANY, REPLICAS = int(os.environ.get("MANY", "500")), int(os.environ.get("REPLICAS", "4"))
FEW, ALONE = 20, 4
AT_ONCE = 32
MARK = "firedrill.dev/drill"
ALLOWED = {"annotations": {"firedrill.dev/allow": "scale-to-zero"}}
WEB = "docker.io/firedrill-lab/web:1"

api = hollow.Api()


def say(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def load():
    return pathlib.Path("/proc/loadavg").read_text().split()[0]


def until(what, true, patience_s=900):
    end = time.monotonic() + patience_s
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {patience_s} s")
        time.sleep(0.25)


def made(method, path, body=None, kind="application/json"):
    status, answer = api.ask(method, path, body, kind)
    if status not in (200, 201, 202):
        raise SystemExit(f"{method} {path}: {status} {answer[:300]}")
    return json.loads(answer)


def namespace(name):
    made("POST", "/api/v1/namespaces", {"metadata": {"name": name, **ALLOWED}})


def gone(name):
    api.ask("DELETE", f"/api/v1/namespaces/{name}")
    until(f"{name} is gone", lambda: api.ask("GET", f"/api/v1/namespaces/{name}")[0] == 404)


def deployments(name):
    return made("GET", f"/apis/apps/v1/namespaces/{name}/deployments?resourceVersion=0")["items"]


def whole(name):
    """Whether every deployment has all its pods, and the cluster's controllers have caught up."""
    def settled(d):
        status, wanted = d.get("status", {}), d["spec"]["replicas"]
        counts = [status.get(k, 0) for k in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
        return status.get("observedGeneration") == d["metadata"]["generation"] and counts == [wanted] * 4
    return all(map(settled, deployments(name)))


class Watch(threading.Thread):
    """What the API server says of the objects of a namespace, each time with the wall clock's nanoseconds."""

    def __init__(self, path, accept, take):
        super().__init__(daemon=True)
        self.path, self.accept, self.take, self.ended = path, accept, take, False
        self.start()

    def run(self):
        listed = made("GET", self.path)
        version, stamp = listed["metadata"]["resourceVersion"], time.time_ns()
        for known in listed["items"]:
            self.take(stamp, {"type": "ADDED", "object": known})
        while not self.ended:
            connection = api.connection(timeout=3600)
            connection.request("GET", f"{self.path}?watch=1&resourceVersion={version}&timeoutSeconds=3600",
                               headers={"Authorization": "Bearer " + api.token, "Accept": self.accept})
            for line in connection.getresponse():
                stamp = time.time_ns()
                event = json.loads(line)
                version = event["object"]["metadata"].get("resourceVersion", version)
                self.take(stamp, event)


class Marks:
    """When each deployment got a drill's mark, and when it lost it: both come with the count, in one write."""

    def __init__(self, name):
        self.on, self.off = {}, {}
        only_metadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        Watch(f"/apis/apps/v1/namespaces/{name}/deployments", only_metadata, self.take)

    def take(self, stamp, event):
        name, notes = event["object"]["metadata"]["name"], event["object"]["metadata"].get("annotations", {})
        if MARK in notes:
            self.on.setdefault(name, stamp)
        elif name in self.on:
            self.off.setdefault(name, stamp)


class Endpoints:
    """How many ready endpoints each service had, and since when."""

    def __init__(self, name):
        self.told = {}
        Watch(f"/apis/discovery.k8s.io/v1/namespaces/{name}/endpointslices", "application/json", self.take)

    def take(self, stamp, event):
        service = event["object"]["metadata"]["labels"]["kubernetes.io/service-name"]
        there = [e for e in event["object"].get("endpoints") or [] if e["conditions"].get("ready")]
        now = 0 if event["type"] == "DELETED" else len(there)
        self.told.setdefault(service, []).append((stamp, now))


class Drill:
    """A drill by the runner itself, and what its journal and the system say of it afterwards."""

    def __init__(self, binary, place, target, probe, hold="1s"):
        self.state = pathlib.Path(tempfile.mkdtemp(dir=place))
        experiment = self.state / "experiment.yaml"
        experiment.write_text(
            f"experiment: {target}\ntitle: All of them at once\nowner: bench@ultramarket.example\n"
            f"objectives: {{ rto: 15m }}\nprobes: [{probe}]\nmethod:\n"
            f"  - scale-to-zero: {{ target: {target}, hold: {hold} }}\n"
            "baseline: { for: 1s }\nrecover: { stable-for: 1s, deadline: 30m }\n")
        self.log = open(self.state / "log", "w")
        self.process = subprocess.Popen(
            [binary, "run", experiment, "--estate", place / "estate.yaml", "--state", self.state, "--out",
             self.state / "out", "--json"], stdout=self.log, stderr=subprocess.STDOUT)

    # On a busy machine the probes may leave the verdict open (3): it is not what is measured here.
    def ended(self, codes=(0, 3)):
        _, status, usage = os.wait4(self.process.pid, 0) if self.process.returncode is None else (0, 1 << 8, None)
        if usage is None:
            raise SystemExit("it ended too early:\n" + (self.state / "log").read_text()[-3000:])
        self.peak_mib = usage.ru_maxrss / 1024
        self.cpu_s = usage.ru_utime + usage.ru_stime
        code = os.waitstatus_to_exitcode(status)
        if code not in codes:
            raise SystemExit(f"exit code {code}:\n" + (self.state / "log").read_text()[-3000:])
        with sqlite3.connect(self.state / "journal.sqlite") as journal:
            texts = [text for (text,) in journal.execute("select record from records order by seq")]
        self.journal_mib = sum(map(len, texts)) / 2**20
        self.records = [json.loads(text) for text in texts]
        return self

    def at(self, *words):
        """When the first record of one of these words was written, by the wall clock."""
        for record in self.records:
            event = record["event"]
            if (event if isinstance(event, str) else next(iter(event))) in words:
                return record["at"]["wall_ns"]
        raise SystemExit(f"the journal has no {words}")

    def all(self, word):
        return [r["event"][word] for r in self.records if isinstance(r["event"], dict) and word in r["event"]]


def estate(place, targets, probes):
    lines = ["environment: bench", "allow: [scale-to-zero]", f"kubernetes: {{ kubeconfig: \"{os.environ['KUBECONFIG']}\" }}"]
    lines += ["targets:"] + [f"  {name}: {{ deployments: {{ namespace: {ns}, select: {select} }} }}"
                             for name, ns, select in targets]
    lines += ["probes:"] + [f"  {name}: {{ http: {{ url: \"{url}\", status: 200, every: 50ms, timeout: 1s }} }}"
                            for name, url in probes]
    (place / "estate.yaml").write_text("\n".join(lines) + "\n")


def helper(*words):
    return subprocess.Popen([sys.executable, HERE / "hollow.py", *words], stdout=subprocess.PIPE, text=True)


def end(process):
    process.send_signal(signal.SIGTERM)
    return process.communicate()[0]


def other_client(lines, windows):
    """The 99th percentile, in ms, of another client's requests that were under way within the windows of wall time."""
    taken = []
    for line in lines.splitlines():
        began, took = line.split()
        if any(int(began) + int(took) >= a and int(began) <= b for a, b in windows):
            taken.append(int(took) / 1e6)
    taken.sort()
    return (taken[min(len(taken) - 1, int(len(taken) * 0.99))], len(taken)) if taken else (float("nan"), 0)


def bare(name, names, replicas):
    """PATCHes of `scale` by curl, side by side: seconds from the first request to the last answer, and the slowest."""
    url = f"https://{api.address.hostname}:{api.address.port}/apis/apps/v1/namespaces/{name}/deployments"
    with tempfile.TemporaryDirectory() as place:
        authority = pathlib.Path(place) / "ca.crt"
        authority.write_text("".join(hollow.ssl.DER_cert_to_PEM_cert(der) for der in api.tls.get_ca_certs(True)))
        config = pathlib.Path(place) / "config"
        body = json.dumps({"spec": {"replicas": replicas}}).replace('"', '\\"')
        config.write_text("next\n".join(
            f'url = "{url}/{one}/scale"\nrequest = PATCH\ndata = "{body}"\noutput = /dev/null\nsilent\nhttp1.1\n'
            f'header = "Content-Type: {hollow.MERGE}"\nheader = "Authorization: Bearer {api.token}"\n'
            f'cacert = "{authority}"\nwrite-out = "%{{http_code}} %{{time_total}}\\n"\n' for one in names))
        began = time.monotonic()
        said = subprocess.run(["curl", "--parallel", "--parallel-immediate", "--parallel-max", str(AT_ONCE), "--config",
                               config], capture_output=True, text=True)
        took = time.monotonic() - began
    answers = [line.split() for line in said.stdout.splitlines()]
    if len(answers) != len(names) or any(code != "200" for code, _ in answers):
        raise SystemExit(f"curl: {len(answers)} answers, {said.stderr[:300]} {said.stdout[:300]}")
    return took, max(float(slowest) for _, slowest in answers)


def by_kubectl(name, names, replicas):
    began = time.monotonic()
    subprocess.run([KUBECTL, "-n", name, "scale", "deployment", *names, f"--replicas={replicas}"], check=True,
                   stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def begin_many(place):
    name = f"fd-scale-many-{os.getpid()}"
    say(f"making {MANY} deployments of {REPLICAS} pods")
    namespace(name)
    node = helper("node", f"fd-scale-{os.getpid()}")
    subprocess.run([sys.executable, HERE / "hollow.py", "make", name, str(MANY), str(REPLICAS)], check=True)
    front = helper("front", name)
    port = front.stdout.readline().strip()
    estate(place, [("many", name, "all")], [("front", f"http://127.0.0.1:{port}/")])
    until("all pods ready", lambda: whole(name))
    return name, [node, front]


def stopped(binary, place):
    """All at once, and back at once: what lies between depends on the cluster's controllers alone."""
    name, helpers = begin_many(place)
    try:
        for _ in range(int(os.environ.get("RUNS", "3"))):
            marks, other = Marks(name), helper("other", name)
            time.sleep(1)
            drill = Drill(binary, place, "many", "front")
            until("all are marked", lambda: len(marks.on) == MANY or drill.process.poll() is not None)
            drill.process.send_signal(signal.SIGINT)
            drill.ended(codes=(4,))
            until("no mark is left", lambda: len(marks.off) == MANY)
            asked, back = drill.at("baseline-held"), drill.at("undo-began")
            windows = [(asked, max(marks.on.values())), (back, max(marks.off.values()))]
            p99, count = other_client(end(other), windows)
            down_s, back_s = ((b - a) / 1e9 for a, b in windows)
            say(f"down {down_s:.2f} s, back {back_s:.2f} s, other p99 {p99:.0f} ms of {count}, peak {drill.peak_mib:.1f} MiB, "
                f"CPU {drill.cpu_s:.1f} s, journal {drill.journal_mib:.2f} MiB, load {load()}")
            until("all pods ready", lambda: whole(name))
            names = [f"web-{n:03}" for n in range(MANY)]
            down_s, back_s = (bare(name, names, count)[0] for count in (0, REPLICAS))
            say(f"bare: down {down_s:.2f} s, back {back_s:.2f} s, load {load()}")
            until("all pods ready", lambda: whole(name))
    finally:
        # The node lets its pods go; it goes last.
        gone(name)
        for one in helpers:
            end(one)


def many(binary, place):
    name, helpers = begin_many(place)
    names = [f"web-{n:03}" for n in range(MANY)]
    found = {"replicas": REPLICAS}
    try:
        found["bare"] = []
        for _ in range(int(os.environ.get("RUNS", "3"))):
            found["bare"].append([bare(name, names, count) for count in (0, REPLICAS)])
            until("all pods ready", lambda: whole(name))
        some = names[:50]
        found["kubectl"] = [by_kubectl(name, some, count) for count in (0, REPLICAS)]
        until("all pods ready", lambda: whole(name))
        other = helper("other", name)
        quiet_from = time.time_ns()
        time.sleep(5)
        quiet = [(quiet_from, time.time_ns())]
        marks = Marks(name)
        found["load"] = load()
        say(f"the drill over {MANY}; load {found['load']}")
        drill = Drill(binary, place, "many", "front").ended()
        until("no mark is left", lambda: len(marks.off) == MANY)
        lines = end(other)
        windows = [(drill.at("baseline-held"), max(marks.on.values())), (drill.at("heal-began"), max(marks.off.values()))]
        intended = max(len(intents) for intents in drill.all("intended"))
        if (intended, len(marks.on), len(marks.off)) != (MANY, MANY, MANY):
            raise SystemExit(f"{intended} intents, {len(marks.on)} marks, {len(marks.off)} of them taken off")
        found["down_s"], found["back_s"] = ((b - a) / 1e9 for a, b in windows)
        found["other"] = other_client(lines, windows)
        found["other_quiet"] = other_client(lines, quiet)
        found["peak_mib"], found["cpu_s"], found["journal_mib"] = drill.peak_mib, drill.cpu_s, drill.journal_mib
        return found
    finally:
        # The node lets its pods go; it goes last.
        gone(name)
        for one in helpers:
            end(one)


def begin_few(place, name, starts_s):
    namespace(name)
    services = []
    for number in range(FEW):
        one, labels = f"web-{number:03}", {"app": f"web-{number:03}"}
        made("POST", f"/api/v1/namespaces/{name}/services", {
            "metadata": {"name": one}, "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}})
        container = {"name": "web", "image": WEB, "imagePullPolicy": "Never", "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1, "initialDelaySeconds": starts_s(number)}}
        made("POST", f"/apis/apps/v1/namespaces/{name}/deployments", {
            "metadata": {"name": one, "labels": labels},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"automountServiceAccountToken": False, "containers": [container]}}}})
    for number in range(FEW):
        service = made("GET", f"/api/v1/namespaces/{name}/services/web-{number:03}")
        services.append((f"web-{number:03}", f"http://{service['spec']['clusterIP']}/"))
    targets = [("together", name, "all")] + [(one, name, f"{{ names: [{one}] }}") for one, _ in services]
    estate(place, targets, services)
    until("all pods ready", lambda: whole(name))


def to_zero_and_back_s(endpoints, names, asked, back):
    """From the request until no endpoint is ready, and from the request back until all are: the hold is left out."""
    def last(ready, since):
        first = [next((at for at, count in endpoints.told[n] if at >= since and count == ready), None) for n in names]
        return None if None in first else max(first)
    empty, full = last(0, asked), last(1, back or time.time_ns())
    return None if empty is None or full is None else (empty - asked + full - back) / 1e9


def drilled_s(binary, place, endpoints, target, names):
    drill = Drill(binary, place, target, names[0]).ended()
    return to_zero_and_back_s(endpoints, names, drill.at("baseline-held"), drill.at("heal-began"))


def bare_s(name, endpoints, names):
    asked = time.time_ns()
    bare(name, names, 0)
    until("no endpoint is ready", lambda: all(endpoints.told[n][-1][1] == 0 for n in names))
    back = time.time_ns()
    bare(name, names, 1)
    until("all endpoints are ready", lambda: all(endpoints.told[n][-1][1] == 1 for n in names))
    return to_zero_and_back_s(endpoints, names, asked, back)


def few(binary, place):
    found = {}
    for kind, starts_s in (("at once", lambda number: 0), ("after 1 to 10 s", lambda number: 1 + number % 10)):
        name = f"fd-scale-few-{starts_s(1)}-{os.getpid()}"
        say(f"{FEW} deployments of the lab's web server, ready {kind}")
        try:
            begin_few(place, name, starts_s)
            endpoints = Endpoints(name)
            until("the endpoints are known", lambda: len(endpoints.told) == FEW)
            names = [f"web-{number:03}" for number in range(FEW)]
            # The slowest are among them.
            some = names[10 - ALONE:10]
            row = {"load": load(), "alone": [drilled_s(binary, place, endpoints, one, [one]) for one in some]}
            row["together"] = drilled_s(binary, place, endpoints, "together", names)
            until("all pods ready", lambda: whole(name))
            row["bare"] = bare_s(name, endpoints, names)
            found[kind] = row
            say(json.dumps(row))
        finally:
            gone(name)
    return found


def machine():
    memory = next(line for line in pathlib.Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return f"{os.cpu_count()} cores, {int(memory.split()[1]) / 2**20:.0f} GiB, Linux {os.uname().release}"


def row(what, measured, limit, unit, note=""):
    word = "" if limit is None else f"{limit:g} {unit}"
    over = limit is not None and measured > limit
    shown = f"{measured:.0f}" if unit == "ms" else f"{measured:.2f}" if unit == "s" else f"{measured:.1f}"
    return f"| {what} | {'**' if over else ''}{shown} {unit}{'**' if over else ''}{note} | {word} |"


def page(twenty, hundreds):
    m, bare_down, bare_back = hundreds, *zip(*((down[0], back[0]) for down, back in hundreds["bare"]))
    times = MANY / 50
    lines = [
        "# Benchmarks: hundreds of deployments", "",
        "Measured by `make bench-scale` on a release build and [the lab](../lab/README.md); the same command repeats it and "
        "writes this page anew. What is over its limit is set in bold.", "",
        f"Machine: {machine()}. The API server, etcd, the controllers, the runner and the peers share it. Load before: "
        f"{m['load']} with the hundreds, {', '.join(row['load'] for row in twenty.values())} with the twenty.", "",
        f"## {MANY} deployments at once", "",
        f"{MANY} deployments of {REPLICAS} pods each on a node that runs nothing: its pods are ready at once. One drill, "
        "`scale-to-zero` over all of them. A change counts as accepted when a watch of another process hears of it from the API "
        "server, with the drill's annotations on it; the request is when the runner's journal says that the baseline held, or "
        f"that bringing back began. In between, {MANY} looks, {MANY} durable intents and {MANY} conditional writes.", "",
        "| what | measured | at most |", "|---|--:|--:|",
        row("to zero: request to last accepted change", m["down_s"], 1.5, "s"),
        row("and back", m["back_s"], 1.5, "s"),
        row("another client meanwhile, p99", m["other"][0], 1000, "ms", f" of {m['other'][1]} requests"),
        row("the same client before", m["other_quiet"][0], None, "ms", f" of {m['other_quiet'][1]}"),
        row(f"peak memory of the runner with {MANY * REPLICAS} pods in the namespace", m["peak_mib"], 64, "MiB"),
        row("CPU time of the runner, the whole drill", m["cpu_s"], None, "s"),
        row("records in its journal", m["journal_mib"], None, "MiB"), "",
        "Peers on the same deployments, minutes before: they look at nothing, write nothing down, and mark nothing.", "",
        "| what | to zero | and back |", "|---|--:|--:|",
        f"| {MANY} bare PATCHes of `scale` by curl, {AT_ONCE} at a time | {', '.join(f'{s:.2f}' for s in bare_down)} s "
        f"| {', '.join(f'{s:.2f}' for s in bare_back)} s |",
        f"| `kubectl scale` of 50 of them | {m['kubectl'][0]:.1f} s | {m['kubectl'][1]:.1f} s |",
        f"| so of {MANY}, extrapolated | {m['kubectl'][0] * times:.0f} s | {m['kubectl'][1] * times:.0f} s |", "",
        f"## {FEW} deployments from ready to no endpoint to ready", "",
        f"{FEW} deployments of one pod of the lab's web server, each with a Service; no `waves`. From the request until no "
        "endpoint is ready, and from the request back until all are; the hold is left out. A watch on the EndpointSlices is the "
        f"clock. *Alone* are drills on one deployment each, {ALONE} of them, the slowest to start among them. *Bare* are PATCHes "
        "of `scale` by curl, all at once, and nothing else: what the cluster itself needs.", "",
        "| pods are ready | alone, the slowest | together | ratio | at most | bare |", "|---|--:|--:|--:|--:|--:|",
    ]
    for kind, found in twenty.items():
        alone = max(found["alone"])
        ratio = found["together"] / alone
        bold = "**" if ratio > 1.3 else ""
        lines.append(f"| {kind} | {alone:.2f} s | {found['together']:.2f} s | {bold}{ratio:.2f}{bold} | 1.3 | {found['bare']:.2f} s |")
    return "\n".join(lines) + "\n"


def main(words):
    match words:
        case [binary, *rest]:
            binary = pathlib.Path(binary).resolve()
        case _:
            raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        match rest:
            case ["stopped"]:
                stopped(binary, place)
            case ["many"]:
                print(json.dumps(many(binary, place), indent=1))
            case ["few"]:
                print(json.dumps(few(binary, place), indent=1))
            case []:
                (HERE.parent / "docs" / "benchmarks-scale.md").write_text(page(few(binary, place), many(binary, place)))
            case _:
                raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
