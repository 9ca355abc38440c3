#!/bin/sh
# Makes the certificates that the TLS tests use. The keys are public by being here: they prove
# nothing to anybody and must never be trusted outside the tests.
#
#   ca.pem         the authority that the tests trust (its key is thrown away)
#   server.pem     a far side called localhost or 127.0.0.1, with its key
#   elsewhere.pem  a far side called elsewhere.test, with its key
#   client.pem     our own identity for mutual TLS, with its key
#   stranger.pem   another authority (its key is thrown away)
set -eu
cd "$(dirname "$0")"
days=36500
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

authority() { # file, name
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$days" \
        -subj "/CN=$2" -addext basicConstraints=critical,CA:TRUE \
        -addext keyUsage=critical,keyCertSign -keyout "$scratch/$1.key" -out "$1.pem"
}

certificate() { # file, name, alternative names, use
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" \
        -keyout "$scratch/$1.key" -out "$scratch/$1.csr"
    printf 'basicConstraints=CA:FALSE\nsubjectAltName=%s\nextendedKeyUsage=%s\n' "$3" "$4" \
        >"$scratch/$1.ext"
    openssl x509 -req -days "$days" -in "$scratch/$1.csr" -CA ca.pem -CAkey "$scratch/ca.key" \
        -extfile "$scratch/$1.ext" -out "$scratch/$1.crt"
    cat "$scratch/$1.crt" "$scratch/$1.key" >"$1.pem"
}

authority ca "Payhall test authority"
authority stranger "Another test authority"
certificate server localhost "DNS:localhost,IP:127.0.0.1" serverAuth
certificate elsewhere elsewhere.test "DNS:elsewhere.test" serverAuth
certificate client payhall "DNS:payhall.test" clientAuth
