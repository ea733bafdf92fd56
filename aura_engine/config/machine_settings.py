"""Settings of the machine: folders, Docker, the guard; and the names of the original's that have no effect any more."""

from __future__ import annotations

from enum import StrEnum

from aura_engine.config.fields import Group, Key, Switch, Url, obsolete, setting


class Containments(StrEnum):
    """Ways to contain a process of this machine."""

    AUTO = "auto"
    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    NONE = "none"


class DockerNetwork(StrEnum):
    """What workers in containers reach."""

    BRIDGE = "bridge"
    NONE = "none"


class DockerFallback(StrEnum):
    """What happens when workers cannot run in Docker."""

    LOCAL = "local"
    ASK = "ask"
    STOP = "stop"


DEFAULT_IMAGE = "ghcr.io/erickong/aura-claude-cuda:latest"
_CYCLE = "the planner is woken by events, never on a timer"
_CACHE = "done by itself"
_FREE = "0 = off"


class FolderSettings(Group):
    """Where things lie."""

    project_root: str = setting("", "the project", shown="current folder")
    data_dir: str = setting("", "data of all runs; relative to the project", shown=".aura in the project")


class ContainmentSettings(Group):
    """What keeps workers and checks of this machine away from the person's files."""

    containment: Containments = setting(
        Containments.AUTO,
        "the wall around workers and checks: `auto` (bubblewrap, else Landlock), `bubblewrap`, `landlock`; "
        "`none` = your consent to none",
        shown="auto",
    )


class DockerSettings(Group):
    """Workers in containers."""

    workers_in_docker: Switch = setting(False, "run each worker, and all checks, in a container of its own")
    docker_image: str = setting(DEFAULT_IMAGE, "the workers' image: the local one of that name, else it is pulled")
    docker_network: DockerNetwork = setting(
        DockerNetwork.BRIDGE,
        "of workers in containers: `bridge` (internet, no neighbours), `none` (only their model, through a relay)",
        shown="bridge",
    )
    docker_host: str = setting(
        "", "the Docker engine, such as `unix:///var/run/docker.sock`", shown="DOCKER_HOST, else its usual socket"
    )
    docker_fallback: DockerFallback = setting(
        DockerFallback.LOCAL,
        "when Docker or the image is not to be had: `local` workers for this run, `ask` you, or `stop`",
        shown="local",
    )
    docker_gpus: str = setting("", "GPUs in containers: empty = none, `all`, `device=0`, other `--gpus` values")
    docker_extra_args: str = setting(
        "", "flags as of `docker run` that leave the walls standing: `--memory 8g`, `-v /data:/data:ro`"
    )
    docker_claude_api_key: Key = setting("", "older name: key of `claude` in Docker", secret=True)
    docker_claude_base_url: Url = setting("", "older name: address of `claude` in Docker")
    docker_claude_model: str = setting("", "older name: model of `claude` in Docker")
    docker_claude_small_model: str = setting("", "small model of `claude` in Docker", shown="its model")
    docker_claude_subagent_model: str = setting("", "subagents' model of `claude` in Docker", shown="its model")


class ScreenSettings(Group):
    """The full screen. Keys are set in the table `[keys]` of the configuration file."""

    theme: str = setting(
        "", "its theme: one of Aura's, or a file in `themes` beside the configuration file", shown="aura-dark"
    )
    bell: Switch = setting(False, "ring the terminal's bell when you are needed")


class GuardSettings(Group):
    """Limits of a worker's whole process tree."""

    worker_resource_guard: Switch = setting(True, "watch what workers use")
    worker_resource_poll_seconds: float = setting(10.0, "seconds between two samples", shown="10", ge=0.1, le=3600)
    worker_resource_avg_window_seconds: float = setting(
        180.0, "seconds over which samples are averaged", shown="180", ge=1, le=86_400
    )
    worker_resource_violation_strikes: int = setting(3, "violations in a row before a worker is stopped", ge=1, le=1000)
    worker_max_cpu_percent: float = setting(80.0, f"of all cores; {_FREE}", shown="80", ge=0, le=100)
    worker_max_system_memory_percent: float = setting(80.0, f"of the memory; {_FREE}", shown="80", ge=0, le=100)
    worker_max_gpu_util_percent: float = setting(80.0, f"of the GPUs' time; {_FREE}", shown="80", ge=0, le=100)
    worker_max_gpu_memory_percent: float = setting(80.0, f"of the GPUs' memory; {_FREE}", shown="80", ge=0, le=100)
    worker_max_system_memory_gb: float = setting(0.0, f"memory of a worker; {_FREE}", shown="0", ge=0)
    worker_min_system_memory_free_gb: float = setting(0.0, f"memory kept free before a start; {_FREE}", shown="0", ge=0)
    worker_max_gpu_memory_gb: float = setting(0.0, f"GPU memory of a worker; {_FREE}", shown="0", ge=0)
    worker_min_gpu_memory_free_gb: float = setting(
        0.0, f"GPU memory kept free before a start; {_FREE}", shown="0", ge=0
    )
    worker_cuda_visible_devices: str = setting("", "`CUDA_VISIBLE_DEVICES` inside workers")


class ObsoleteSettings(Group):
    """Accepted so that an old configuration still loads; a note says what took their place."""

    docker_bin: str = obsolete("the Docker engine is spoken to through its socket", "docker")
    cycle_interval: str = obsolete(_CYCLE, "300")
    deep_review_interval: str = obsolete("it never had one; set AURA_DEEP_REFLECTION_INTERVAL", "120")
    max_api_rounds_per_cycle: str = obsolete(_CYCLE, "20")
    max_tool_calls_per_cycle: str = obsolete(_CYCLE, "20")
    tool_call_budget_normal: str = obsolete(_CYCLE, "12")
    tool_call_budget_diagnostic: str = obsolete(_CYCLE, "40")
    tool_call_budget_planning: str = obsolete(_CYCLE, "40")
    skip_healthy_cycles: str = obsolete(_CYCLE, "1")
    max_skipped_cycles: str = obsolete(_CYCLE, "8")
    explicit_prompt_cache: str = obsolete(_CACHE, "0")
    file_cache: str = obsolete(_CACHE, "1")
    file_cache_ttl: str = obsolete(_CACHE, "60")
    task_summary: str = obsolete("summaries are always written", "1")
    task_cleanup_age: str = obsolete("give `aura clean-workspaces --age DAYS`", "7")
    worker_forbid_offload: str = obsolete("the guard measures GPU memory instead")
