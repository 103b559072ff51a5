//! What an account may do, asked of the cluster: every verb on every resource that it serves.

use super::kubectl::Kubectl;
use futures_util::StreamExt as _;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Rights, as `verb group/resource`.
pub type Rights = BTreeSet<String>;

const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
/// Verbs that are about more than the object.
const SPECIAL: &[&str] = &[
    "impersonate /users",
    "impersonate /groups",
    "impersonate /serviceaccounts",
    "bind rbac.authorization.k8s.io/roles",
    "bind rbac.authorization.k8s.io/clusterroles",
    "escalate rbac.authorization.k8s.io/roles",
    "escalate rbac.authorization.k8s.io/clusterroles",
    "approve certificates.k8s.io/signers",
    "sign certificates.k8s.io/signers",
];
const AT_ONCE: usize = 32;

/// What these shipped Roles grant, each in its file.
pub fn granted(roles: &[(&str, &str)]) -> Rights {
    let mut rights = Rights::new();
    for (file, name) in roles {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("deploy/roles/{file}.yaml"));
        let text = std::fs::read_to_string(path).unwrap();
        let documents = text.split("\n---\n").map(|d| serde_saphyr::from_str::<Value>(d).unwrap());
        let role = documents.into_iter().find(|d| d["kind"] == "Role" && d["metadata"]["name"] == *name).unwrap();
        let words = |rule: &Value, key: &str| -> Vec<String> {
            rule[key].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
        };
        for rule in role["rules"].as_array().unwrap() {
            for group in words(rule, "apiGroups") {
                for resource in words(rule, "resources") {
                    rights.extend(words(rule, "verbs").iter().map(|verb| format!("{verb} {group}/{resource}")));
                }
            }
        }
    }
    rights
}

/// Every verb on every resource that the cluster serves, subresources too, and on what is granted though it is not served.
pub fn questions(kubectl: &Kubectl, granted: &Rights) -> Rights {
    let raw = |path: &str| -> Value { serde_json::from_str(&kubectl.must(&["get", "--raw", path])).unwrap() };
    let mut resources = BTreeSet::new();
    let mut listed = |group: &str, list: &Value| {
        for resource in list["resources"].as_array().unwrap() {
            resources.insert(format!("{group}/{}", resource["name"].as_str().unwrap()));
        }
    };
    listed("", &raw("/api/v1"));
    for group in raw("/apis")["groups"].as_array().unwrap() {
        let name = group["name"].as_str().unwrap();
        let version = group["preferredVersion"]["groupVersion"].as_str().unwrap();
        listed(name, &raw(&format!("/apis/{version}")));
    }
    resources.extend(granted.iter().filter_map(|right| right.split_once(' ')).map(|(_, resource)| resource.to_owned()));
    let of_resource = |resource: &String| VERBS.map(|verb| format!("{verb} {resource}"));
    resources.iter().flat_map(of_resource).chain(SPECIAL.iter().map(|s| (*s).to_owned())).collect()
}

/// Which of the questions the cluster answers with yes, for an account in a namespace.
#[tokio::main(flavor = "current_thread")]
pub async fn allowed(kubectl: &Kubectl, account: &str, namespace: &str, questions: &Rights) -> Rights {
    let file = Kubeconfig::read_from(kubectl.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    let api: Api<SubjectAccessReview> = Api::all(Client::try_from(config).unwrap());
    let asked = questions.iter().map(|right| {
        let review = review(right, account, namespace);
        let api = api.clone();
        async move {
            let answer = api.create(&PostParams::default(), &review).await.unwrap();
            answer.status.unwrap().allowed.then(|| right.clone())
        }
    });
    let answers: Vec<Option<String>> = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
    answers.into_iter().flatten().collect()
}

fn review(right: &str, account: &str, namespace: &str) -> SubjectAccessReview {
    let (verb, object) = right.split_once(' ').unwrap();
    let (group, resource) = object.split_once('/').unwrap();
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let of_namespace = account.split(':').nth(2).unwrap();
    let groups = ["system:authenticated".to_owned(), "system:serviceaccounts".to_owned()];
    let attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ResourceAttributes::default()
    };
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(account.to_owned()),
            groups: Some([&groups[..], &[format!("system:serviceaccounts:{of_namespace}")]].concat()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}
