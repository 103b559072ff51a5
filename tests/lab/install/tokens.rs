//! The shipped accounts at the cluster's door, each with a token of its own: what their Roles let through and the admission policy
//! does not.

use super::kubectl::{Kubectl, Said};
use super::{AGENTS, HIS, OWN, SHOP};
use serde_json::{Value, json};

const POLICY: &str = "firedrill-narrow-patches";

/// The accounts of an installation.
pub struct Accounts<'a> {
    pub kubectl: &'a Kubectl,
}

/// One of them, with its token.
struct Account(Kubectl);

impl Account {
    fn patch(&self, namespace: &str, what: &[&str; 2], body: &Value) -> Said {
        self.0.merge(namespace, what, body)
    }

    fn may_patch(&self, what: &[&str; 2], body: &Value) {
        let said = self.patch(SHOP, what, body);
        assert_eq!(said.code, Some(0), "{what:?} {body}: {said:?}");
    }

    fn may_not_patch(&self, namespace: &str, what: &[&str; 2], body: &Value) {
        by_policy(&self.patch(namespace, what, body), body);
    }

    /// A verb that no Role gives it.
    fn may_not(&self, namespace: &str, args: &[&str]) {
        let said = self.0.said(&[&["-n", namespace], args].concat());
        assert!(said.code != Some(0) && said.stderr.contains("orbidden"), "{args:?} in {namespace}: {said:?}");
        assert!(!said.stderr.contains(POLICY), "{args:?} in {namespace}: a Role gives it: {said:?}");
    }
}

/// Refused by the policy, and not for want of a right.
fn by_policy(said: &Said, what: &Value) {
    assert!(said.code != Some(0) && said.stderr.contains(POLICY), "{what}: {said:?}");
}

const CART: [&str; 2] = ["deployment", "cart"];

/// A count of replicas, and the mark of a drill that captured `was`, or no mark.
fn count(replicas: u32, was: Option<&str>) -> Value {
    let notes = json!({ "firedrill.dev/drill": was.map(|_| "a-test"), "firedrill.dev/replicas": was });
    json!({ "metadata": { "annotations": notes }, "spec": { "replicas": replicas } })
}

/// What nobody of ours may make of a Deployment.
fn too_much() -> [Value; 6] {
    [
        json!({ "spec": { "template": { "metadata": { "labels": { "a": "b" } } } } }),
        json!({ "spec": { "paused": true } }),
        json!({ "spec": { "strategy": { "type": "Recreate", "rollingUpdate": null } } }),
        json!({ "metadata": { "annotations": { "a.example/b": "c" } } }),
        json!({ "metadata": { "labels": { "app": null } } }),
        json!({ "metadata": { "finalizers": ["a.example/b"] } }),
    ]
}

fn lease(name: &str) -> String {
    format!("apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {{ name: {name}, namespace: {SHOP} }}\n")
}

impl Accounts<'_> {
    fn account(&self, namespace: &str, name: &str, bound: &[&str]) -> Account {
        let args = [&["-n", namespace, "create", "token", name, "--duration=10m"], bound].concat();
        Account(self.kubectl.with_token(self.kubectl.must(&args).trim()))
    }

    pub fn the_runner_is_refused(&self) {
        let runner = self.account(OWN, "firedrill", &[]);
        runner.may_patch(&CART, &count(1, Some("2")));
        runner.may_patch(&CART, &count(2, None));
        for body in too_much() {
            runner.may_not_patch(SHOP, &CART, &body);
        }
        let named = ["-n", SHOP, "get", "pods", "-l", "app=storefront", "-o", "jsonpath={.items[0].metadata.name}"];
        let pod = self.kubectl.must(&named);
        for body in [
            json!({ "metadata": { "labels": { "app": "cart" } } }),
            json!({ "spec": { "activeDeadlineSeconds": 5 } }),
            json!({ "metadata": { "annotations": { "a.example/b": "c" } } }),
        ] {
            runner.may_not_patch(SHOP, &["pod", &pod], &body);
        }
        // Locks, and not the lease of whoever else elects here.
        self.kubectl.apply(&lease("someone"));
        assert_eq!(runner.0.would_create(&lease("firedrill-a-test")).code, Some(0));
        by_policy(&runner.0.would_create(&lease("someone-else")), &json!("create"));
        by_policy(&runner.0.said(&["-n", SHOP, "delete", "lease", "someone"]), &json!("delete"));
        runner.may_not_patch(SHOP, &["lease", "someone"], &json!({ "spec": { "holderIdentity": "me" } }));
        for (args, namespace) in [
            (&["get", "secrets"][..], SHOP),
            (&["get", "secret", "firedrill-none"][..], SHOP),
            (&["delete", "deployment", "cart"][..], SHOP),
            (&["scale", "deployment", "cart", "--replicas=0"][..], SHOP),
            (&["delete", "pods", "--all"][..], "shop"),
            (&["get", "pods"][..], "shop"),
            (&["get", "deployments"][..], OWN),
            (&["create", "configmap", "a"][..], OWN),
            (&["create", "serviceaccount", "a"][..], HIS),
            (&["get", "pods"][..], HIS),
            (&["annotate", "namespace", SHOP, "firedrill.dev/allow=everything", "--overwrite"][..], SHOP),
            (&["exec", &pod, "--", "true"][..], SHOP),
        ] {
            runner.may_not(namespace, args);
        }
    }

    /// He may put back what a drill took, and nothing else.
    pub fn the_dead_man_is_refused(&self) {
        let dead_man = self.account(HIS, "firedrill-dead-man", &[]);
        dead_man.may_not_patch(SHOP, &CART, &count(1, None));
        let runner = self.account(OWN, "firedrill", &[]);
        runner.may_patch(&CART, &count(0, Some("2")));
        dead_man.may_not_patch(SHOP, &CART, &count(3, None));
        for body in too_much() {
            dead_man.may_not_patch(SHOP, &CART, &body);
        }
        dead_man.may_patch(&CART, &count(2, None));
        for (args, namespace) in [
            (&["get", "pods"][..], SHOP),
            (&["get", "deployment", "cart"][..], SHOP),
            (&["delete", "lease", "someone"][..], SHOP),
            (&["get", "deployments"][..], "shop"),
            (&["get", "jobs"][..], HIS),
        ] {
            dead_man.may_not(namespace, args);
        }
    }

    /// It may mark the pod that it runs in.
    pub fn an_agent_is_refused(&self) {
        for name in ["own", "other"] {
            self.kubectl.apply(&format!(
                "apiVersion: v1
kind: Pod
metadata: {{ name: {name}, namespace: {AGENTS} }}
spec:
  serviceAccountName: firedrill-agent
  terminationGracePeriodSeconds: 0
  containers: [{{ name: pause, image: docker.io/firedrill-lab/pause:1, imagePullPolicy: Never }}]
"
            ));
        }
        let agent = self.account(AGENTS, "firedrill-agent", &["--bound-object-kind=Pod", "--bound-object-name=own"]);
        let mark = json!({ "metadata": { "annotations": { "firedrill.dev/agent": "a-test" } } });
        let said = agent.patch(AGENTS, &["pod", "own"], &mark);
        assert_eq!(said.code, Some(0), "{said:?}");
        agent.may_not_patch(AGENTS, &["pod", "other"], &mark);
        agent.may_not_patch(AGENTS, &["pod", "own"], &json!({ "metadata": { "labels": { "a": "b" } } }));
        agent.may_not_patch(AGENTS, &["pod", "own"], &json!({ "spec": { "activeDeadlineSeconds": 5 } }));
        for (args, namespace) in [
            (&["get", "pods"][..], SHOP),
            (&["get", "pods"][..], AGENTS),
            (&["delete", "pod", "other"][..], AGENTS),
            (&["get", "secrets"][..], AGENTS),
        ] {
            agent.may_not(namespace, args);
        }
        self.kubectl.must(&["-n", AGENTS, "delete", "pod", "own", "other", "--wait=false"]);
    }

    /// As docs/install.md adds one.
    pub fn a_runner_of_another_name_is_narrowed_too(&self) {
        self.kubectl.must(&["-n", SHOP, "create", "serviceaccount", "drills"]);
        let (role, whom) = ("--role=firedrill-scale-to-zero", format!("--serviceaccount={SHOP}:drills"));
        self.kubectl.must(&["-n", SHOP, "create", "rolebinding", "drills", role, &whom]);
        let drills = self.account(SHOP, "drills", &[]);
        drills.may_patch(&CART, &count(1, Some("2")));
        drills.may_patch(&CART, &count(2, None));
        for body in too_much() {
            drills.may_not_patch(SHOP, &CART, &body);
        }
    }
}
