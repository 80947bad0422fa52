#!/bin/sh
# Makes certificates for trying out TLS, valid for 30 days, and the file from which
# tensorflow_model_server reads them (--ssl_config_file):
#
#     serving/make_test_certificates.sh FOLDER [NAME]
#
# NAME is the server's host name for clients, besides localhost and 127.0.0.1. FOLDER
# then contains ca.crt, server.crt, client.crt, their keys (*.key), and ssl.config. In
# production, use certificates from your own authority, in a file like ssl.config.
set -eu

if [ $# -lt 1 ]; then
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
folder=$1
name=${2:-localhost}
umask 077
mkdir -p "$folder"
cd "$folder"

new_key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

# shellcheck disable=SC2086 # The options are separate words.
openssl req -x509 $new_key -days 30 -subj "/CN=tfnst test authority" \
  -keyout ca.key -out ca.crt 2>/dev/null

sign() { # sign ROLE SUBJECT EXTENSIONS
  # shellcheck disable=SC2086
  openssl req $new_key -subj "/CN=$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  printf '%s\n' "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial \
    -days 30 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm "$1.csr" "$1.ext"
}
sign server "$name" "subjectAltName=DNS:$name,DNS:localhost,IP:127.0.0.1
extendedKeyUsage=serverAuth"
sign client "tfnst test client" "extendedKeyUsage=clientAuth"
rm -f ca.srl

quote() { # quote FIELD FILE: a file's lines as one string of a text proto
  printf '%s:\n' "$1"
  sed 's/.*/  "&\\n"/' "$2"
}
{
  quote server_key server.key
  quote server_cert server.crt
  # The authority that has to have signed the clients' certificates.
  quote custom_ca ca.crt
  echo "client_verify: true"
} >ssl.config
