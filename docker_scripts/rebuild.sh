#!/usr/bin/env bash
# Builds the workers' image and tags it with the name that Aura uses, so that nothing is pulled.
#
#   docker_scripts/rebuild.sh                                   the usual base
#   BASE_IMAGE=nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04 docker_scripts/rebuild.sh
#   APT_MIRROR=… PIP_INDEX_URL=… NPM_REGISTRY=… docker_scripts/rebuild.sh
#   docker_scripts/rebuild.sh --no-cache                        anything else goes to `docker build`
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
image=${AURA_DOCKER_IMAGE:-ghcr.io/erickong/aura-claude-cuda:latest}

if ! command -v docker >/dev/null 2>&1; then
    echo "docker was not found. Install Docker, or let workers run on this machine with --no-docker." >&2
    exit 2
fi

arguments=(--platform "${AURA_DOCKER_PLATFORM:-linux/amd64}" --tag "$image")
for name in BASE_IMAGE APT_MIRROR PIP_INDEX_URL NPM_REGISTRY CLAUDE_VERSION QWEN_VERSION CODEX_VERSION OPENCODE_VERSION WORKER_UID; do
    if [[ -n ${!name:-} ]]; then
        arguments+=(--build-arg "$name=${!name}")
    fi
done

docker build "${arguments[@]}" "$@" .
echo "Built $image. Aura now uses it instead of pulling."
