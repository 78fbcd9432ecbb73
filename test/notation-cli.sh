#!/usr/bin/env bash
# The real notation command signs with keys of an emulated KMS, through the plugin, and verifies what it signed.
#
#   NOTATION=bin/notation test/notation-cli.sh
#
# Without NOTATION it takes notation from PATH, and skips if there is none. It builds the plugin and the emulator.
set -euo pipefail

if ! notation=$(command -v "${NOTATION:-notation}"); then
  echo "skip: there is no notation command (make bin/notation builds one; name it in NOTATION)"
  exit 0
fi
for tool in curl openssl; do
  command -v "$tool" >/dev/null || { echo "skip: there is no $tool command"; exit 0; }
done
notation=$(realpath "$notation")
cd "$(dirname "$0")/.."

name=alibabacloud.secretmanager.plugin
plugin=$PWD/bin/notation-$name
dir=$(mktemp -d)
emulator=
cleanup() {
  if [ -n "$emulator" ]; then
    kill "$emulator" 2>/dev/null || true
    wait "$emulator" 2>/dev/null || true
  fi
  rm -rf "$dir"
}
trap cleanup EXIT

ok() { echo "ok    $*"; }

fail() {
  echo "FAIL  $*" >&2
  exit 1
}

# refused runs a command that must fail, with a reason in what it says.
refused() {
  local reason=$1 said
  shift
  if said=$("$@" 2>&1); then
    fail "succeeded: $*"
  fi
  [[ $said == *"$reason"* ]] || fail "$* failed for another reason than \"$reason\": $said"
}

make --silent plugin
go build -buildvcs=false -o "$dir/emulator" ./test/emulator/cmd/emulator

# From here on notation and the plugin know nothing of who runs this, and at first nothing of a cloud.
while IFS= read -r variable; do
  unset "$variable"
done < <(compgen -e | grep -E '^(ALIBABA|ALICLOUD|NOTATION|https?_proxy|HTTPS?_PROXY|NO_PROXY|no_proxy|SSL_CERT_)' || true)
export HOME=$dir XDG_CONFIG_HOME=$dir/config XDG_CACHE_HOME=$dir/cache

"$notation" plugin install --file "$plugin" >/dev/null
listed=$("$notation" plugin ls) # not piped: grep would end before it
grep -q "^$name .*SIGNATURE_GENERATOR.RAW" <<<"$listed" || fail "notation plugin ls does not list $name: $listed"
ok "installed and listed, without environment or network"

"$dir/emulator" >"$dir/cloud" &
emulator=$!
for ((tries = 0; ; tries++)); do
  grep -q 'oras login' "$dir/cloud" && break
  kill -0 "$emulator" 2>/dev/null || fail "the emulator has ended"
  [ "$tries" -lt 300 ] || fail "the emulator is not ready after 30 s"
  sleep 0.1
done
# shellcheck source=/dev/null
source <(grep '^export ' "$dir/cloud")
read -r registry user password < <(sed -nE "s/^#.*oras login ([^ ]+) -u '([^']+)' -p '([^']+)'\$/\1 \2 \3/p" "$dir/cloud")
export NOTATION_USERNAME=$user NOTATION_PASSWORD=$password

# registry_curl asks the registry, which wants a token that its realm gives for the repository.
registry_curl() {
  curl --silent --show-error --fail --cacert "$SSL_CERT_FILE" --header "Authorization: Bearer $token" "$@"
}
challenge=$(curl --silent --cacert "$SSL_CERT_FILE" --dump-header - --output /dev/null "https://$registry/v2/" |
  tr -d '\r' | grep -i '^www-authenticate:')
realm=$(sed -E 's/.*realm="([^"]+)".*/\1/' <<<"$challenge")
service=$(sed -E 's/.*service="([^"]+)".*/\1/' <<<"$challenge")
token=$(curl --silent --show-error --fail --cacert "$SSL_CERT_FILE" --user "$user:$password" --get --data-urlencode "service=$service" \
  --data-urlencode 'scope=repository:demo/web:pull,push' "$realm" | sed -E 's/.*"token": ?"([^"]+)".*/\1/')

# push pushes an image that has nothing but a name in it, and prints its reference.
push() {
  local config manifest digest location
  config='{"architecture":"amd64","os":"linux","config":{"Labels":{"name":"'$1'"}},"rootfs":{"type":"layers","diff_ids":[]}}'
  digest=sha256:$(printf %s "$config" | sha256sum | cut -d' ' -f1)
  location=$(registry_curl --request POST --dump-header - --output /dev/null "https://$registry/v2/demo/web/blobs/uploads/" |
    tr -d '\r' | sed -nE 's/^[Ll]ocation: (.*)/\1/p')
  [[ $location == https://* ]] || location=https://$registry$location
  case $location in *\?*) location+='&' ;; *) location+='?' ;; esac
  registry_curl --request PUT --header 'Content-Type: application/octet-stream' --data-binary "$config" --output /dev/null \
    "${location}digest=$digest"
  manifest='{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",'
  manifest+='"digest":"'$digest'","size":'${#config}'},"layers":[]}'
  registry_curl --request PUT --header 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary "$manifest" --output /dev/null \
    "https://$registry/v2/demo/web/manifests/$1"
  echo "$registry/demo/web@sha256:$(printf %s "$manifest" | sha256sum | cut -d' ' -f1)"
}

"$notation" policy import /dev/stdin >/dev/null <<'POLICY'
{"version": "1.0", "trustPolicies": [{"name": "all", "registryScopes": ["*"], "signatureVerification": {"level": "strict"},
  "trustStores": ["ca:kms"], "trustedIdentities": ["*"]}]}
POLICY
"$notation" cert add --type ca --store kms "$ALIBABA_CLOUD_KMS_CA_FILEPATH" >/dev/null # an authority that has issued nothing here

# sign signs an image: sign KEY FORMAT PLUGIN-CONFIG IMAGE.
sign() {
  "$notation" sign --plugin "$name" --id "alias/$1" --signature-format "$2" --plugin-config "$3" "$4" >/dev/null
}

# trusts checks that an image verifies once a certificate is a trust anchor, and not before: trusts CERTIFICATE IMAGE.
trusts() {
  refused 'signature verification failed' "$notation" verify "$2"
  "$notation" cert add --type ca --store kms "$1" >/dev/null
  "$notation" verify "$2" >/dev/null
}

while read -r key format; do
  mkdir "$dir/$key"
  certificate=$dir/$key/signer.crt
  image=$(push "$key")
  sign "$key" "$format" "output_cert_dir=$dir/$key" "$image"
  cp "$certificate" "$dir/$key.crt" # the trust store goes by the names of files
  trusts "$dir/$key.crt" "$image"
  ok "$key key, $format: verified with its self-signed certificate as the trust anchor, and refused without"

  before=$(sha256sum "$certificate")
  image=$(push "$key-again")
  sign "$key" "$format" "output_cert_dir=$dir/$key" "$image"
  "$notation" verify "$image" >/dev/null
  [ "$(sha256sum "$certificate")" = "$before" ] || fail "$certificate has changed"
  ok "$key key, $format: the second signature has the same certificate"

  "$plugin" certificate create --id "alias/$key" --csr --output "$dir/$key.csr" --subject "C=CN,ST=Zhejiang,O=Example,CN=$key" >/dev/null
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/$key-ca.key" -out "$dir/$key-ca.crt" -days 30 \
    -subj "/C=CN/ST=Zhejiang/O=Example/CN=root of $key" -addext keyUsage=critical,keyCertSign 2>/dev/null
  openssl x509 -req -in "$dir/$key.csr" -CA "$dir/$key-ca.crt" -CAkey "$dir/$key-ca.key" -CAcreateserial -copy_extensions copy -days 10 \
    -out "$dir/$key-leaf.crt" 2>/dev/null
  cat "$dir/$key-ca.crt" "$dir/$key-leaf.crt" >"$dir/$key-chain.pem"
  image=$(push "$key-issued")
  sign "$key" "$format" "ca_certs=$dir/$key-chain.pem" "$image"
  trusts "$dir/$key-ca.crt" "$image"
  "$plugin" doctor --id "alias/$key" --plugin-config "ca_certs=$dir/$key-chain.pem" >"$dir/doctor" || fail "the doctor: $(cat "$dir/doctor")"
  ok "$key key, $format: verified with the authority that issued its certificate as the trust anchor, and refused without"
done <<'KEYS'
rsa jws
ec cose
KEYS

refused 'no signature is associated' "$notation" verify "$(push unsigned)"
ok "an unsigned image is refused"
