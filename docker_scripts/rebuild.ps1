# Builds the workers' image and tags it with the name that Aura uses, so that nothing is pulled.
#
#   docker_scripts\rebuild.ps1                       the usual base
#   $env:BASE_IMAGE = "nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04"; docker_scripts\rebuild.ps1
#   docker_scripts\rebuild.ps1 --no-cache            anything else goes to `docker build`
$ErrorActionPreference = "Stop"

$image = if ($env:AURA_DOCKER_IMAGE) { $env:AURA_DOCKER_IMAGE } else { "ghcr.io/erickong/aura-claude-cuda:latest" }
$platform = if ($env:AURA_DOCKER_PLATFORM) { $env:AURA_DOCKER_PLATFORM } else { "linux/amd64" }

if (-not (Get-Command docker -ErrorAction SilentlyContinue)) {
    Write-Error "docker was not found. Install Docker, or let workers run on this machine with --no-docker."
    exit 2
}

$arguments = @("--platform", $platform, "--tag", $image)
foreach ($name in "BASE_IMAGE", "APT_MIRROR", "PIP_INDEX_URL", "NPM_REGISTRY", "CLAUDE_VERSION", "QWEN_VERSION", "CODEX_VERSION", "OPENCODE_VERSION", "WORKER_UID") {
    $value = [Environment]::GetEnvironmentVariable($name)
    if ($value) { $arguments += @("--build-arg", "$name=$value") }
}

docker build @arguments @args $PSScriptRoot
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
Write-Output "Built $image. Aura now uses it instead of pulling."
