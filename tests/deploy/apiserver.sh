#!/bin/sh
# Into .apiserver: Kubernetes' own API server, etcd and Helm, built out of Go modules, and definitions of custom resources. Needs Go 1.26, and
# some twenty minutes on two cores. Nothing is installed elsewhere.
set -eu
KUBERNETES=1.37.2 ETCD=v3.7.0 HELM=v4.3.1 OPERATOR=v0.85.0 GATEWAY=v1.6.1
mkdir -p .apiserver/build .apiserver/crds
cd .apiserver/build
directory() { go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'; }

# The modules that Kubernetes keeps beside itself are published as v0.x; its own go.mod looks for them in a directory.
version="${KUBERNETES#1.}"
cat > go.mod <<END
module apiserver
go 1.26.0
require k8s.io/kubernetes v$KUBERNETES
END
sed -n "s|^\t\(k8s.io/[a-z-]*\) => ./staging/.*|replace \1 => \1 v0.$version|p" "$(directory k8s.io/kubernetes@v$KUBERNETES)/go.mod" >> go.mod
go get -tool k8s.io/kubernetes/cmd/kube-apiserver go.etcd.io/etcd/server/v3@$ETCD
names="k8s.io/component-base/version"
go build -ldflags "-X $names.gitVersion=v$KUBERNETES -X $names.gitMajor=1 -X $names.gitMinor=${version%.*}" \
  -o ../kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
go build -o ../etcd go.etcd.io/etcd/server/v3
GOBIN="$(cd .. && pwd)" go install helm.sh/helm/v4/cmd/helm@$HELM

operator="$(directory github.com/prometheus-operator/prometheus-operator@$OPERATOR)/example/prometheus-operator-crd"
gateway="$(directory sigs.k8s.io/gateway-api@$GATEWAY)/config/crd/standard"
cp -f "$operator/monitoring.coreos.com_servicemonitors.yaml" "$operator/monitoring.coreos.com_prometheusrules.yaml" \
  "$gateway/gateway.networking.k8s.io_httproutes.yaml" ../crds
chmod u+w ../crds/*
touch ../built
