# shellcheck shell=bash
# What drills act on: a PostgreSQL cluster, web services, and backups' S3 server.

start_s3() {
  mkdir -p "$LAB_DIR/s3"
  # The keys reach it by its environment alone; a command line is for everybody to read. Buckets are directories here, so
  # that a test can spoil a backup by hand.
  (
    # shellcheck source=/dev/null
    . "$KEYS/s3.env"
    export ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY
    start s3 "$LAB_DIR/bin/versitygw" --port "$NODE_IP:$S3_PORT" --region us-east-1 posix "$LAB_DIR/s3"
  )
}

# s3 METHOD PATH: asks for it with the lab's keys.
s3() {
  (
    # shellcheck source=/dev/null
    . "$KEYS/s3.env"
    # By standard input: not by the command line either.
    printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" |
      curl --silent --show-error --fail --max-time 5 --noproxy '*' --config - --aws-sigv4 aws:amz:us-east-1:s3 \
        --header "x-amz-content-sha256: UNSIGNED-PAYLOAD" --request "$1" "http://$NODE_IP:$S3_PORT$2"
  )
}

s3_answers() { still s3 && s3 GET /; }

make_bucket() { s3 GET /backups >/dev/null 2>&1 || s3 PUT /backups; }

# Applies the manifests, and the secrets that were made up for this lab.
apply_estate() {
  local superuser replication shop
  superuser=$(cat "$KEYS/postgres-superuser")
  replication=$(cat "$KEYS/postgres-replication")
  shop=$(cat "$KEYS/postgres-shop")
  kubectl apply -f "$HERE/manifests/namespaces.yaml"
  kubectl apply -f - <<YAML
apiVersion: v1
kind: Secret
metadata: { name: orders, namespace: shop }
stringData:
  superuser-password: $superuser
  replication-password: $replication
  url: postgres://postgres:$superuser@orders.shop.svc:5432/postgres
---
apiVersion: v1
kind: Secret
metadata: { name: orders-shop, namespace: shop }
stringData:
  url: postgres://shop:$shop@orders.shop.svc:5432/shop
YAML
  # shellcheck source=/dev/null
  (. "$KEYS/s3.env" && kubectl apply -f - <<YAML
apiVersion: v1
kind: Secret
metadata: { name: s3, namespace: staging }
stringData: { access-key-id: $AWS_ACCESS_KEY_ID, secret-access-key: $AWS_SECRET_ACCESS_KEY }
YAML
  )
  kubectl apply -f "$HERE/manifests"
}

# The primary as Patroni labels it; the word changed between its versions.
orders_primary() {
  kubectl -n shop get pods -l 'cluster-name=orders,role in (master,primary)' -o jsonpath='{.items[*].metadata.name}'
}

# The application's own database and role. The role may see who streams, as a role that monitors may.
make_database() {
  kubectl -n shop exec -i "$(orders_primary)" -c postgres -- psql -h /tmp -U postgres -AtqX -v ON_ERROR_STOP=1 <<SQL
select 'create role shop login in role pg_monitor password ''$(cat "$KEYS/postgres-shop")'''
  where not exists (select from pg_roles where rolname = 'shop') \gexec
select 'create database shop owner shop' where not exists (select from pg_database where datname = 'shop') \gexec
SQL
}

standby_streams() {
  local primary
  primary=$(orders_primary)
  case $primary in
    '') echo "no pod of orders has the role of primary" && return 1 ;;
    *' '*) echo "more than one pod of orders says that it is primary: $primary" && return 1 ;;
  esac
  kubectl -n shop exec "$primary" -c postgres -- \
    psql -h /tmp -U postgres -Atqc "select application_name, state from pg_stat_replication" | tee /dev/stderr | grep -q '|streaming$'
}

web_ready() { kubectl -n shop wait --for=condition=Available deployment --all --timeout=1s; }

# Through a Service's address, as a client on the node would.
web_answers() {
  local address
  address=$(kubectl -n shop get service storefront -o 'jsonpath={.spec.clusterIP}')
  curl --silent --show-error --fail --max-time 2 --noproxy '*' "http://$address/" | grep '"status":"ok"'
}

# Names, as a pod asks for them: short, by way of the search list.
names_resolve() { kubectl -n shop exec orders-0 -c postgres -- getent hosts orders storefront.shop s3.staging.svc; }

# Whether all of it serves at this moment; in a shell of its own, for the looks that end theirs.
estate_whole() ( s3_answers && standby_streams && web_ready && web_answers && names_resolve ) >/dev/null 2>&1

estate_up() {
  until_true 30 "the S3 server answers" "$LOGS/s3.log" s3_answers
  make_bucket >/dev/null
  apply_estate >"$LOGS/apply.log" 2>&1 || {
    tail -n 3 "$LOGS/apply.log" >&2
    die "the manifests were not taken; read $LOGS/apply.log"
  }
  until_true 180 "orders has a primary and a standby that streams" "$LOGS/pods" standby_streams
  until_true 20 "the shop's database is made" "$LOGS/pods" make_database
  until_true 90 "the web services are available" "$LOGS/pods" web_ready
  until_true 30 "storefront answers at its Service's address" "$LOGS/kube-proxy.log" web_answers
  until_true 60 "a pod can resolve names of Services" "$LOGS/pods" names_resolve
}
