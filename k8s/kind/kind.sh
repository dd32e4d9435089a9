#!/usr/bin/env bash
# Kubeflow Pipelines and hopline on a kind cluster: kind.sh up | run | down.  Interrupted, the same command continues.
#
# Its kubeconfig and the port-forward's files are in build/kind; yours stay as they are.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly CLUSTER=hopline STATE=build/kind NAMESPACES=(kubeflow hopline)
readonly KFP=github.com/kubeflow/pipelines/manifests/kustomize KFP_VERSION=2.17.0
HOPLINE=${HOPLINE:-hopline}
TAG=${TAG:?of the images, see make images}
PORT=${PORT:-8080}                  # of this machine, where Kubeflow Pipelines will answer
WAIT_SECONDS=${WAIT_SECONDS:-1200}  # for Kubeflow Pipelines, whose images are fetched meanwhile
PAUSE_SECONDS=${PAUSE_SECONDS:-10}
export KUBECONFIG=$PWD/$STATE/kubeconfig

say() { echo "kind: $*" >&2; }
fail() { # fail MESSAGE REMEDY
	printf 'error:   %s\nremedy:  %s\n' "$1" "$2" >&2
	exit 2
}

exists() { kind get clusters 2>/dev/null | grep -qx "$CLUSTER"; }

make_cluster() {
	if exists; then
		say "the cluster $CLUSTER is there"
		kind export kubeconfig --name "$CLUSTER" --kubeconfig "$KUBECONFIG"
	else
		say "making the cluster $CLUSTER (a few minutes)"
		# What a broken attempt leaves could not be continued.
		trap 'kind delete cluster --name "$CLUSTER" --kubeconfig "$KUBECONFIG"' EXIT
		kind create cluster --config k8s/kind/cluster.yaml --kubeconfig "$KUBECONFIG" --wait 180s
		trap - EXIT
	fi
	kubectl wait --for=condition=Ready node --all --timeout=120s ||
		fail "the cluster $CLUSTER does not become ready" "make kind-down, which removes its data, then make kind-up"
}

install_kubeflow() {
	say "applying Kubeflow Pipelines $KFP_VERSION"
	apply_kubeflow cluster-scoped-resources
	kubectl wait --for=condition=Established --timeout=120s crd/applications.app.k8s.io >/dev/null
	apply_kubeflow env/platform-agnostic
}

apply_kubeflow() { # apply_kubeflow FOLDER
	kubectl apply -k "$KFP/$1?ref=$KFP_VERSION" >/dev/null ||
		fail "the manifests $1 of Kubeflow Pipelines cannot be applied" \
			"see that this machine reaches github.com, then make kind-up again"
}

install_hopline() {
	say "hopline's manifests and images"
	kubectl apply -k k8s/overlays/kind >/dev/null     # where people launch and models are served
	kubectl apply -k k8s/overlays/kubeflow >/dev/null # where steps run
	local namespace
	kind load docker-image --name "$CLUSTER" "hopline-control:$TAG" "hopline-preprocess:$TAG" "hopline-train:$TAG"
	for namespace in "${NAMESPACES[@]}"; do # from one program to the other, past every log and list of processes
		kubectl --namespace kubeflow get secret mlpipeline-minio-artifact \
			--output go-template-file=k8s/kind/object-store-secret.gotemplate |
			kubectl --namespace "$namespace" apply --server-side --force-conflicts --filename - >/dev/null
	done
}

wait_for_kubeflow() {
	local deadline=$((SECONDS + WAIT_SECONDS)) found waiting
	while true; do
		found=$(kubectl --namespace kubeflow get deployments --no-headers \
			--output custom-columns=NAME:.metadata.name,WANTED:.spec.replicas,AVAILABLE:.status.availableReplicas)
		waiting=$(awk '$2 != $3 {print $1}' <<<"$found" | paste -sd ' ' -)
		[ -n "$waiting" ] || break
		if [ "$SECONDS" -ge "$deadline" ]; then
			kubectl --namespace kubeflow get pods >&2
			fail "after $WAIT_SECONDS s these are not ready: $waiting" \
				"see why: kubectl --kubeconfig $KUBECONFIG --namespace kubeflow describe pods; then make kind-up again"
		fi
		say "after $SECONDS s still waiting for: $waiting"
		sleep "$PAUSE_SECONDS"
	done
	say "all $(wc -l <<<"$found") deployments are ready"
}

forwarding() { # whether our port-forward runs
	local pid
	pid=$(cat "$STATE/port-forward.pid" 2>/dev/null) && [[ $(ps -ww -o args= -p "$pid" 2>/dev/null) == *port-forward* ]]
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }

forward() {
	if forwarding && answers; then
		return
	fi
	stop_forwarding
	if answers; then
		fail "something else answers at port $PORT" "end it, or choose another: make $1 PORT=8081"
	fi
	nohup kubectl --namespace kubeflow port-forward service/ml-pipeline-ui "$PORT:80" \
		>"$STATE/port-forward.log" 2>&1 </dev/null &
	echo $! >"$STATE/port-forward.pid"
	local tries
	for ((tries = 0; tries < 100; tries++)); do
		if answers; then
			return
		fi
		kill -0 $! 2>/dev/null || break
		sleep 0.3
	done
	fail "no way to Kubeflow Pipelines: $(tail -1 "$STATE/port-forward.log")" "make $1 again"
}

stop_forwarding() {
	if forwarding; then
		kill "$(cat "$STATE/port-forward.pid")"
		while forwarding; do sleep 0.1; done # until it has let go of the port
	fi
	rm -f "$STATE/port-forward.pid"
}

up() {
	"$HOPLINE" doctor kind || fail "this machine is not ready for kind" "mend what the table calls missing"
	make --no-print-directory images
	make_cluster
	install_kubeflow
	install_hopline
	wait_for_kubeflow
	forward kind-up
	"$HOPLINE" doctor cluster --config configs/kind.toml --host "http://localhost:$PORT"
	say "Kubeflow Pipelines is at http://localhost:$PORT; next: make kind-run"
	say "for kubectl: export KUBECONFIG=$KUBECONFIG"
}

run() {
	exists || fail "there is no cluster $CLUSTER" "make kind-up"
	forward kind-run
	exec "$HOPLINE" submit --config configs/kind.toml --host "http://localhost:$PORT" --wait \
		--set "cluster.tag=\"$TAG\""
}

down() {
	stop_forwarding
	kind delete cluster --name "$CLUSTER" --kubeconfig "$KUBECONFIG"
	rm -rf "$STATE"
}

mkdir -p "$STATE"
case ${1:-} in
up | run | down) "$1" ;;
*) fail "kind.sh up, run or down, not '${1:-}'" "make kind-up, make kind-run or make kind-down" ;;
esac
