//! The estate as Kubernetes objects, as one would apply them to any cluster.

use serde_json::{Map, Value, json};

use super::{
    catalogue::DATABASE,
    credentials::{Credentials, Password},
    plan::{DATABASE_COUNT, DATABASES, DEPLOYMENTS, DeploymentPlan, PRIMARY_SERVICE, Plan, ServicePlan},
    postgres::{config::Fsync, settings},
    storefront,
};

/// Probes every 100 ms: a whole second would be most of an outage here.
const PROBE_PERIOD: &str = "sandbox.firedrill.example/probe-period-ms";
/// Seconds a pod has to end by itself.
const GRACE_SECONDS: u32 = 5;

/// Every object, in the order in which they are created.
pub fn all(plan: &Plan, credentials: &Credentials) -> Vec<Value> {
    let mut objects = vec![namespace(plan)];
    objects.extend(secrets(plan, credentials));
    objects.extend(plan.services().iter().map(|one| service(plan, one)));
    objects.push(databases(plan));
    objects.extend(DEPLOYMENTS.iter().map(|one| deployment(plan, *one)));
    objects
}

fn namespace(plan: &Plan) -> Value {
    let annotations: Map<String, Value> =
        plan.namespace_annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": plan.namespace, "annotations": annotations },
    })
}

/// The URL by which a role reaches the database that takes writes.
pub fn database_url(plan: &Plan, role: &str, password: &Password) -> String {
    format!("postgres://{role}:{}@{}/{DATABASE}", password.reveal(), plan.service(PRIMARY_SERVICE))
}

fn secrets(plan: &Plan, credentials: &Credentials) -> Vec<Value> {
    let secret = |name: &str, data: Value| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": { "name": name, "namespace": plan.namespace },
            "stringData": data,
        })
    };
    let login = |role: &str, password: &Password| {
        json!({
            "username": role, "password": password.reveal(), "database": DATABASE,
            "url": database_url(plan, role, password),
        })
    };
    vec![
        secret("postgresql-firedrill", login("firedrill", &credentials.firedrill)),
        secret("postgresql-storefront", login("storefront", &credentials.storefront)),
        secret(
            "dr-backups",
            json!({
                "AWS_ACCESS_KEY_ID": credentials.s3_access_key.reveal(),
                "AWS_SECRET_ACCESS_KEY": credentials.s3_secret_key.reveal(),
            }),
        ),
    ]
}

fn service(plan: &Plan, service: &ServicePlan) -> Value {
    let selector: Map<String, Value> =
        service.selector.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let port = service.listen.port();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": service.name, "namespace": plan.namespace },
        "spec": {
            "type": "ClusterIP", "clusterIP": service.listen.ip().to_string(), "selector": selector,
            "ports": [{ "name": "main", "port": port, "targetPort": port, "protocol": "TCP" }],
        },
    })
}

fn env(variables: &[(&str, String)]) -> Value {
    variables.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// What pods of all kinds share.
fn pod(
    plan: &Plan,
    labels: &Value,
    program: &str,
    variables: &[(&str, String)],
    port: u16,
    ready: (&str, u16),
) -> Value {
    json!({
        "metadata": { "labels": labels, "annotations": { PROBE_PERIOD: "100" } },
        "spec": {
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "containers": [{
                "name": program,
                "image": "sandbox.example/firedrill-sandbox:local",
                "command": [plan.program, "sandbox-part", program],
                "env": env(variables),
                "ports": [{ "name": "main", "containerPort": port }],
                "readinessProbe": {
                    "httpGet": { "path": ready.0, "port": ready.1 },
                    "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 2,
                },
            }],
        },
    })
}

fn databases(plan: &Plan) -> Value {
    use settings::env;
    let fsync = match plan.fsync {
        Fsync::Off => "off",
        Fsync::On => "on",
    };
    let variables = [
        (env::PROGRAMS, plan.postgres_programs.display().to_string()),
        (env::VOLUMES, plan.layout.volumes().display().to_string()),
        (env::PORT, plan.database_port.to_string()),
        (env::FSYNC, fsync.to_owned()),
        (env::AGENT_PORT, plan.agent_port.to_string()),
        (env::LEASE_SECONDS, plan.lease_ttl.as_secs().max(1).to_string()),
        (env::CREDENTIALS, plan.layout.credentials().display().to_string()),
        (env::CONTROL, plan.layout.control().display().to_string()),
    ];
    let labels = json!({ "app": DATABASES });
    let template =
        pod(plan, &labels, "postgres-agent", &variables, plan.database_port, ("/readiness", plan.agent_port));
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": DATABASES, "namespace": plan.namespace, "labels": labels },
        "spec": {
            "serviceName": DATABASES, "replicas": DATABASE_COUNT, "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": labels }, "template": template,
        },
    })
}

fn deployment(plan: &Plan, deployment: DeploymentPlan) -> Value {
    use storefront::env;
    // The password comes from a file: the objects of the API hold none but in Secrets.
    let variables = [
        (env::ROLE, deployment.name.to_owned()),
        (env::PORT, plan.shop_port.to_string()),
        (env::PASSWORD_FILE, plan.layout.credentials().join("storefront").display().to_string()),
        (env::DATABASE_URL, format!("postgres://storefront@{}/{DATABASE}", plan.service(PRIMARY_SERVICE))),
        (env::CART, plan.service("cart").to_string()),
        (env::CHECKOUT, plan.service("checkout").to_string()),
    ];
    let labels = json!({ "app": deployment.name });
    let template = pod(plan, &labels, "storefront", &variables, plan.shop_port, ("/readyz", plan.shop_port));
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": deployment.name, "namespace": plan.namespace, "labels": labels },
        "spec": {
            "replicas": deployment.replicas, "selector": { "matchLabels": labels }, "template": template,
        },
    })
}
