//! The estate and the experiments, as a person would write them, with short times.

use firedrill_sandbox::Facts;

/// Where a dump that was cut in the middle lies.
pub const CUT_PREFIX: &str = "postgresql-cut/";

/// An estate file for a sandbox.
pub fn estate(facts: &Facts) -> String {
    let (namespace, database, store) = (&facts.namespace, &facts.database, &facts.store);
    let names: Vec<&str> = facts.deployments.keys().map(String::as_str).collect();
    let s3 = |prefix: &str| {
        format!(
            "{{ bucket: {}, prefix: {prefix}, region: {}, endpoint: \"{}\", access-key: {{ file: \"{}\" }}, secret-key: {{ file: \"{}\" }} }}",
            store.bucket,
            store.region,
            store.endpoint,
            store.access_key_file.display(),
            store.secret_key_file.display()
        )
    };
    format!(
        "environment: sandbox
allow: [kill-primary, kill-manager, scale-to-zero, restore-backup]
kubernetes: {{ kubeconfig: \"{kubeconfig}\" }}
targets:
  orders-db:
    postgres:
      namespace: {namespace}
      members: app={set}
      primary: role=primary
      leader-lock: {{ lease: postgresql-leader }}
      url: {{ secret: {namespace}/{secret} }}
      port: {port}
      agent: {{ image: firedrill, namespace: agents, service-account: agent }}
  web:
    deployments: {{ namespace: {namespace}, select: {{ names: [{names}] }} }}
  backups:
    backups: {{ s3: {whole}, of: orders-db }}
  cut-backups:
    backups: {{ s3: {cut}, of: orders-db }}
  scratch:
    staging: {{ scratch: {{ directory: \"{staging}\", binaries: \"{programs}\" }} }}
probes:
  orders-write: {{ ledger: {{ target: orders-db, every: 10ms }} }}
  storefront: {{ http: {{ url: \"{shop}/v2/products?limit=10\", every: 20ms }} }}
  nowhere: {{ http: {{ url: \"{shop}/no-such-page\", every: 20ms }} }}
guards: {{ cool-down: 0s }}
",
        kubeconfig = facts.kubeconfig.display(),
        set = database.stateful_set,
        secret = database.secrets["firedrill"],
        port = database.port,
        names = names.join(", "),
        whole = s3(&store.prefix),
        cut = s3(CUT_PREFIX),
        staging = facts.staging.display(),
        programs = database.programs.display(),
        shop = facts.storefront_url,
    )
}

fn experiment(name: &str, body: &str) -> String {
    format!("experiment: {name}\ntitle: A drill of the tests\nowner: tests@ultramarket.example\n{body}")
}

/// The primary is killed; `expect` is what must have happened, `baseline` how long all is watched before.
pub fn kill_primary(expect: &str, baseline: &str) -> String {
    kill_primary_by("delete-pod", expect, baseline)
}

/// The same, in another way.
pub fn kill_primary_by(by: &str, expect: &str, baseline: &str) -> String {
    experiment(
        "kill-primary",
        &format!(
            "objectives: {{ rto: 30s, rpo: 0s }}
probes: [orders-write]
method:
  - kill-primary: {{ target: orders-db, by: {by} }}
baseline: {{ for: {baseline} }}
recover: {{ expect: {expect}, stable-for: 2s, deadline: 45s }}
"
        ),
    )
}

/// The manager of the primary is stopped.
pub fn kill_manager() -> String {
    experiment(
        "kill-manager",
        "objectives: { rto: 30s, rpo: 0s }
probes: [orders-write]
method:
  - kill-manager: { target: orders-db, by: stop, for: 20s }
baseline: { for: 1s }
recover: { expect: failover, stable-for: 2s, deadline: 45s }
",
    )
}

/// Every deployment of the shop to zero for `hold`, watched by `probe`.
pub fn scale_to_zero(hold: &str, probe: &str) -> String {
    experiment(
        "scale-to-zero",
        &format!(
            "objectives: {{ rto: 30s }}
probes: [{probe}]
method:
  - scale-to-zero: {{ target: web, hold: {hold}, waves: [[storefront], [cart, checkout]] }}
baseline: {{ for: 1s }}
recover: {{ stable-for: 1s, deadline: 2m }}
"
        ),
    )
}

/// The newest backup of a target is restored into a scratch and questioned.
pub fn restore(from: &str) -> String {
    experiment(
        "restore-backup",
        &format!(
            "objectives: {{ restore: 1m, rpo: 10m }}
method:
  - restore-backup:
      from: {from}
      into: scratch
      select: newest
      verify: {{ rows: {{ public.products: 1000 }}, canary: select max(beat_at) from heartbeat }}
recover: {{ deadline: 1m }}
"
        ),
    )
}
