# shellcheck shell=bash
# Keys, certificates and tokens of one lab, made when it goes up and gone with its directory.

KEYS=$LAB_DIR/keys

# secret: 32 characters that nobody can guess.
secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# certificate NAME SUBJECT EXTENSIONS: a key, and a certificate for it by the lab's own authority.
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$2" \
    -keyout "$KEYS/$1.key" -out "$KEYS/$1.csr" 2>/dev/null
  openssl x509 -req -in "$KEYS/$1.csr" -CA "$KEYS/ca.crt" -CAkey "$KEYS/ca.key" -CAcreateserial -days 365 \
    -extfile <(printf '%s\n' "$3") -out "$KEYS/$1.crt" 2>/dev/null
}

# kubeconfig FILE TOKEN
kubeconfig() {
  cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters:
  - name: lab
    cluster:
      server: https://$NODE_IP:$API_PORT
      certificate-authority-data: $(base64 -w0 "$KEYS/ca.crt")
users:
  - name: lab
    user: { token: "$2" }
contexts:
  - name: lab
    context: { cluster: lab, user: lab }
current-context: lab
YAML
}

# Everybody who speaks to the API server gets a token of the user that the default roles expect, so that each part may do
# what it may do on any cluster, and no more.
tokens() {
  local line user groups token
  while read -r line user groups; do
    token=$(secret)
    echo "$token,$user,$user,\"$groups\"" >>"$KEYS/tokens.csv"
    kubeconfig "$KEYS/$line.kubeconfig" "$token"
  done <<USERS
admin admin system:masters
kube-controller-manager system:kube-controller-manager
kube-scheduler system:kube-scheduler
kube-proxy system:kube-proxy
kubelet system:node:$NODE system:nodes
USERS
}

make_keys() (
  umask 077
  mkdir -p "$KEYS"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj /CN=firedrill-lab \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout "$KEYS/ca.key" -out "$KEYS/ca.crt" 2>/dev/null
  # The one that kube-apiserver would make for itself leaves out the addresses that are used here.
  certificate apiserver /CN=kube-apiserver "subjectAltName=IP:127.0.0.1,IP:$API_SERVICE_IP,IP:$NODE_IP,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
extendedKeyUsage=serverAuth"
  # Without it the API server is nobody to the kubelet, and logs, exec and port-forward are refused.
  certificate apiserver-kubelet-client /O=system:masters/CN=apiserver-kubelet-client extendedKeyUsage=clientAuth
  openssl ecparam -name prime256v1 -genkey -noout -out "$KEYS/service-accounts.key"
  tokens
  cp "$KEYS/admin.kubeconfig" "$KUBECONFIG_FILE"
  printf 'AWS_ACCESS_KEY_ID=firedrill-lab\nAWS_SECRET_ACCESS_KEY=%s\n' "$(secret)" >"$KEYS/s3.env"
  secret >"$KEYS/postgres-superuser"
  secret >"$KEYS/postgres-replication"
  secret >"$KEYS/postgres-shop"
)
