"""``deploy``'s containers, as far as a machine without them can tell: schemas, settings, commands, what they share."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import compose_spec
import kubernetes.client
import kubernetes_validate
import pytest
import yaml
from dagster._config import process_config
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job

from forecast_platform.api.starting import require_safe
from forecast_platform.executors import executor_of
from forecast_platform.pipeline import PROJECT
from forecast_platform.settings import SettingsError, load

DEPLOY = PROJECT / "deploy"
KUBERNETES = kubernetes_validate.latest_version()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
VALUES: dict[str, Any] = yaml.safe_load((DEPLOY / "helm-values.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
(CODE,) = VALUES["dagster-user-deployments"]["deployments"]
GIVEN = "0f6a2c9b41d87e35" * 2
"""Stands for what whoever starts the services must give."""

OURS = {name: each for name, each in COMPOSE["services"].items() if each["image"] == "forecast-platform"}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


# Compose


def test_the_compose_file_is_one_by_the_schema_of_compose():
    compose_spec.PyCompose.from_json(json.dumps(COMPOSE)).validate()
    misspelt = json.loads(json.dumps(COMPOSE))
    misspelt["services"]["worker"]["comand"] = misspelt["services"]["worker"].pop("command")
    with pytest.raises(ValueError, match="comand"):
        compose_spec.PyCompose.from_json(json.dumps(misspelt)).validate()


def test_services_wait_for_services_that_there_are_and_that_tell_when_they_are_ready():
    services = COMPOSE["services"]
    for name, service in services.items():
        for other, needed in service.get("depends_on", {}).items():
            assert other in services, f"{name} waits for {other}"
            if needed["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} waits for {other} to be healthy"
    assert set(OURS) == {"migrate", "code", "worker", "daemon", "webserver", "api"}
    assert services["worker"]["deploy"]["replicas"] == 2


def test_the_services_settings_are_settings_and_hold_no_password():
    for service in OURS.values():
        given = {name: str(value) for name, value in service["environment"].items()}
        secret = [value for name, value in given.items() if "PASSWORD" in name or "@" in value]
        assert len(secret) == 4 and all("${FORECAST_PASSWORD" in value for value in secret)
        filled = {name: re.sub(r"\$\{FORECAST_\w+[^}]*\}", GIVEN, value) for name, value in given.items()}
        settings = load(filled | {"FORECAST_HOME": "/var/lib/forecast"})
        assert executor_of(settings).name == "celery"
        # Whatever steps hand to each other is in the volume that all of them mount.
        mounted = {volume.rpartition(":")[2] for volume in service["volumes"]}
        assert "/var/lib/forecast" in mounted
        for url in (settings.staging_url, settings.landing, settings.artifacts_url):
            assert url.startswith("file:///var/lib/forecast/"), url


def test_the_api_starts_with_what_it_is_given_and_not_without_a_secret():
    service = OURS["api"]
    given = {name: str(value) for name, value in service["environment"].items()}
    for name in ("FORECAST_API_SECRET", "FORECAST_API_METRICS_TOKEN"):
        assert given[name].startswith(f"${{{name}:?")
    filled = {name: re.sub(r"\$\{FORECAST_\w+[^}]*\}", GIVEN, value) for name, value in given.items()}
    require_safe(load(filled), host="0.0.0.0")
    with pytest.raises(SettingsError, match="FORECAST_API_SECRET"):
        require_safe(load({name: value for name, value in filled.items() if name != "FORECAST_API_SECRET"}), host="::")
    of_the_others = {name: value for name, value in OURS["code"]["environment"].items() if name == "FORECAST_WAREHOUSE"}
    with pytest.raises(SettingsError, match="without TLS"):
        require_safe(
            load(filled | {"FORECAST_WAREHOUSE": re.sub(r"\$\{[^}]*\}", GIVEN, *of_the_others.values())}), host="::"
        )
    sockets = [volume for volume in service["volumes"] if volume.endswith(":/var/run/postgresql")]
    assert sockets and sockets[0] in COMPOSE["services"]["postgres"]["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "/ready" in service["healthcheck"]["test"][-1] and COMPOSE["services"]["proxy"]["profiles"] == ["tls"]
    compile(service["healthcheck"]["test"][-1], "healthcheck", "exec")


def test_the_workspace_names_the_service_of_the_code_location_and_its_port():
    (location,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    command = OURS["code"]["command"]
    assert location["grpc_server"]["host"] == "code"
    assert str(location["grpc_server"]["port"]) == command[command.index("-p") + 1]
    assert location["grpc_server"]["location_name"] == command[command.index("--location-name") + 1]
    assert OURS["code"]["healthcheck"]["test"][-1] == str(location["grpc_server"]["port"])


def test_the_databases_beside_the_warehouse_are_made():
    made = set(re.findall(r"create database (\w+)", (DEPLOY / "databases.sql").read_text()))
    environment = OURS["code"]["environment"]
    assert made == {environment["DAGSTER_PG_DB"], environment["FORECAST_STATE"].rpartition("/")[2]}
    assert COMPOSE["services"]["postgres"]["environment"]["POSTGRES_DB"] == "forecast"


# Commands


def programs() -> dict[str, click.Command]:
    import celery.bin.celery
    import dagster._cli
    import dagster._daemon.cli
    import dagster_webserver.cli

    import forecast_platform.cli

    return {
        "celery": celery.bin.celery.celery,
        "dagster": dagster._cli.create_dagster_cli(),
        "dagster-daemon": dagster._daemon.cli.cli,
        "dagster-webserver": dagster_webserver.cli.dagster_webserver,
        "forecast-platform": forecast_platform.cli.main,
    }


def commands() -> Iterator[list[str]]:
    """Everything that a container starts, or is asked whether it lives with."""
    for service in OURS.values():
        words = service["command"]
        yield from (part.split() for part in words[2].split(" && ")) if words[0] == "sh" else [words]
        if "healthcheck" in service and service["healthcheck"]["test"][1] != "python":
            yield service["healthcheck"]["test"][1:]
    for manifest in MANIFESTS:
        for container in manifest["spec"].get("template", {}).get("spec", {}).get("containers", ()):
            yield container["command"]
    # What the chart's code location runs.
    yield ["dagster", "code-server", "start", *CODE["codeServerArgs"], "-h", "0.0.0.0", "-p", str(CODE["port"])]


def options_of(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def check_command(words: Sequence[str], known: dict[str, click.Command]) -> None:
    """Walk the words of a command: each is a subcommand or an option that there is, or an option's value."""
    command, known_options = known[words[0]], options_of(known[words[0]])
    rest = iter(words[1:])
    for word in rest:
        if word.startswith("-"):
            name, given, _ = word.partition("=")
            assert name in known_options, f"{' '.join(words)}: no option {name}"
            if not given:
                next(rest)
        else:
            assert isinstance(command, click.Group) and word in command.commands, f"{' '.join(words)}: no {word}"
            command = command.commands[word]
            known_options = options_of(command)


def test_every_command_of_a_container_is_one_that_there_is():
    from importlib.metadata import entry_points

    scripts = entry_points(group="console_scripts").names
    known, seen = programs(), []
    for words in commands():
        assert words[0] in scripts, words
        check_command(words, known)
        seen.append(words[0])
    assert set(seen) == set(known)
    with pytest.raises(AssertionError, match="no migrat"):
        check_command(["dagster", "instance", "migrat"], known)
    with pytest.raises(AssertionError, match="no option --locaton"):
        check_command(["dagster", "code-server", "start", "--locaton=x"], known)


# The image


def test_the_image_is_made_from_files_and_extras_that_there_are():
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    copied = [
        word for line in lines if line.startswith("COPY") for word in line.split()[1:-1] if not word.startswith("--")
    ]
    assert copied and [name for name in copied if not (PROJECT / name).exists()] == []
    assert {"forecast_platform", "dbt_project", "deploy/dagster.yaml", "deploy/workspace.yaml"} <= set(copied)
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    (extras,) = (line.partition("EXTRAS=")[2].split(",") for line in lines if line.startswith("ARG EXTRAS"))
    assert {"postgres", "celery", "k8s", "api"} <= set(extras) <= set(project["optional-dependencies"])
    (base,) = (line.split()[1] for line in lines if line.startswith("FROM"))
    assert base == "python:3.11-slim" and project["requires-python"].startswith(">=3.11")
    assert [line for line in lines if line.startswith("USER")] == ["USER forecast"]


# Kubernetes


def test_the_chart_writes_the_instance_that_is_used_everywhere_else():
    instance = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    del instance["storage"]
    daemon = VALUES["dagsterDaemon"]
    assert instance.pop("telemetry") == VALUES["telemetry"]
    queue, coordinator = instance.pop("run_coordinator"), daemon["runCoordinator"]
    assert coordinator["enabled"] and coordinator["type"] == queue["class"]
    ours = coordinator["config"]["queuedRunCoordinator"]
    assert {snake(name): value for name, value in ours.items()} == queue["config"]
    assert VALUES["additionalInstanceConfig"] == instance
    # What is given there is not written by the chart a second time.
    assert not (daemon["runMonitoring"]["enabled"] or daemon["runRetries"]["enabled"] or VALUES["retention"]["enabled"])
    assert VALUES["pythonLogs"] == {}


def launcher_config() -> dict[str, Any]:
    """The chart's values as the run launcher of its ``dagster.yaml``."""
    given = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    config = {snake(name): value for name, value in given.items() if name != "runK8sConfig"}
    run = {
        snake(name): {snake(key): value for key, value in part.items()} for name, part in given["runK8sConfig"].items()
    }
    return config | {
        "run_k8s_config": run,
        "dagster_home": VALUES["global"]["dagsterHome"],
        "instance_config_map": "dagster-instance",
        "postgres_password_secret": VALUES["global"]["postgresqlSecretName"],
        "service_account_name": "dagster",
    }


def test_the_run_launchers_configuration_is_one_by_its_own_schema():
    assert VALUES["runLauncher"]["type"] == "K8sRunLauncher"
    checked = process_config(K8sRunLauncher.config_type(), launcher_config())
    assert checked.success, checked.errors
    wrong = process_config(K8sRunLauncher.config_type(), launcher_config() | {"fail_pod": False})
    assert not wrong.success


def job_of_a_run() -> dict[str, Any]:
    """The Kubernetes job that a run of the code location becomes, as dagster-k8s makes it."""
    shared = {
        "k8s": {
            "image_pull_policy": CODE["image"]["pullPolicy"],
            "env_vars": [f"{each['name']}={each['value']}" for each in CODE["env"]],
            "env_secrets": [each["name"] for each in CODE["envSecrets"]],
            "volumes": CODE["volumes"],
            "volume_mounts": CODE["volumeMounts"],
            "resources": CODE["resources"],
            "run_k8s_config": launcher_config()["run_k8s_config"],
        }
    }
    context = K8sContainerContext.create_from_config(shared)
    config = DagsterK8sJobConfig(
        job_image=f"{CODE['image']['repository']}:{CODE['image']['tag']}",
        dagster_home=VALUES["global"]["dagsterHome"],
        instance_config_map="dagster-instance",
        postgres_password_secret=VALUES["global"]["postgresqlSecretName"],
    )
    job = construct_dagster_k8s_job(
        config, ["dagster", "api", "execute_run"], "dagster-run-1", user_defined_k8s_config=context.run_k8s_config
    )
    return kubernetes.client.ApiClient().sanitize_for_serialization(job)


def test_the_job_of_a_run_and_our_own_manifests_are_kubernetes_objects():
    job = job_of_a_run()
    for manifest in (*MANIFESTS, job):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "FORECAST_EXECUTOR", "value": "k8s"} in container["env"]
    assert container["resources"]["requests"] == {"cpu": "1", "memory": "8Gi"}
    assert job["spec"]["ttlSecondsAfterFinished"] == 86_400
    job["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, KUBERNETES, strict=True)


def test_every_pod_has_the_same_image_volume_and_secret():
    migrate = next(each for each in MANIFESTS if each["kind"] == "Job")["spec"]["template"]["spec"]
    claim = next(each for each in MANIFESTS if each["kind"] == "PersistentVolumeClaim")
    (container,) = migrate["containers"]
    images = {f"{each['image']['repository']}:{each['image']['tag']}" for each in (CODE, VALUES["dagsterDaemon"])}
    assert images | {VALUES["dagsterWebserver"]["image"]["repository"] + ":" + CODE["image"]["tag"]} == {
        container["image"]
    }
    assert container["image"].endswith(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"])
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert migrate["volumes"] == CODE["volumes"]
    assert CODE["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert container["envFrom"][0]["secretRef"]["name"] == CODE["envSecrets"][0]["name"]


def test_the_api_of_the_cluster_is_probed_spread_scaled_and_behind_tls():
    found = {each["kind"]: each for each in MANIFESTS if each["metadata"]["name"] == "forecast-api"}
    assert set(found) == {"Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Ingress"}
    pod = found["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    labels = pod["metadata"]["labels"]
    assert labels == found["Deployment"]["spec"]["selector"]["matchLabels"] == found["Service"]["spec"]["selector"]
    assert labels == found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]
    migrate = next(each for each in MANIFESTS if each["kind"] == "Job")["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["envFrom"]) == (migrate["image"], migrate["envFrom"])
    (port,) = container["ports"]
    assert str(port["containerPort"]) == container["command"][container["command"].index("--port") + 1]
    assert {container[name]["httpGet"]["path"] for name in ("livenessProbe", "startupProbe")} == {"/health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": port["name"]}
    assert found["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    scaler = found["HorizontalPodAutoscaler"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == "forecast-api" and "replicas" not in found["Deployment"]["spec"]
    assert found["PodDisruptionBudget"]["spec"]["minAvailable"] < scaler["minReplicas"]
    (route,) = found["Ingress"]["spec"]["rules"]
    assert found["Ingress"]["spec"]["tls"][0]["hosts"] == [route["host"]]
    given = {each["name"]: each.get("value", "secret") for each in container["env"]}
    secrets = {"FORECAST_API_SECRET": GIVEN, "FORECAST_API_METRICS_TOKEN": GIVEN}
    secrets |= {name: "postgresql://h/d?sslmode=verify-full" for name in ("FORECAST_WAREHOUSE", "FORECAST_STATE")}
    require_safe(
        load({name: text for name, text in given.items() if name.startswith("FORECAST_")} | secrets), host="::"
    )
    assert not {name for name in given if "SECRET" in name or "TOKEN" in name}


def test_the_code_locations_settings_are_settings():
    given = {each["name"]: each["value"] for each in CODE["env"]}
    secrets = {"FORECAST_WAREHOUSE": "postgresql://h/d", "FORECAST_STATE": "postgresql://h/s"}
    settings = load(given | secrets)
    assert executor_of(settings).name == "k8s" and settings.steps_at_once == 16
    assert Path(settings.home) == Path(CODE["volumeMounts"][0]["mountPath"])
