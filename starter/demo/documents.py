"""The documents of the demo: an Application as Kurator's example has it, and its fleet."""

from dataclasses import dataclass
from pathlib import Path
from string import Template

NAMESPACE = "webapp"
HOST = "backend.webapp"


@dataclass(frozen=True)
class Pace:
    """How fast the story goes."""

    check_seconds: int
    load: str
    sync: str


QUICK = Pace(check_seconds=4, load="4s", sync="1s")
SEED = Pace(check_seconds=90, load="1m", sync="5s")

FLEET = """\
apiVersion: fleet.kurator.dev/v1alpha1
kind: Fleet
metadata:
  name: quickstart
  namespace: default
spec:
  clusters:
"""
MEMBER = """\
    - name: {name}
      kind: AttachedCluster
"""
APPLICATION = Template("""\
apiVersion: apps.kurator.dev/v1alpha1
kind: Application
metadata:
  name: rollout-demo
  namespace: default
spec:
  source:
    gitRepository:
      interval: $sync
      ref:
        branch: master
      timeout: 1m0s
      url: $git
  syncPolicies:
    - destination:
        fleet: quickstart
      kustomization:
        interval: 0s
        path: ./deploy/webapp
        prune: true
        timeout: 2m0s
      rollout:
        testLoader: true
        trafficRoutingProvider: istio
        workload:
          apiVersion: apps/v1
          name: backend
          kind: Deployment
          namespace: webapp
        serviceName: backend
        port: 9898
        rolloutPolicy:
          trafficRouting:
            timeoutSeconds: 60
            gateways:
              - istio-system/public-gateway
            hosts:
              - $host
            canaryStrategy:
              maxWeight: 50
              stepWeight: 10
          trafficAnalysis:
            checkIntervalSeconds: $seconds
            checkFailedTimes: 2
            metrics:
              - name: request-success-rate
                intervalSeconds: $seconds
                thresholdRange:
                  min: 99
              - name: request-duration
                intervalSeconds: $seconds
                thresholdRange:
                  max: 500
            webhooks:
              timeoutSeconds: 60
              command:
                - "hey -z $load -q 10 -c 2 http://backend-canary.webapp:9898/"
          rolloutTimeoutSeconds: 600
    - destination:
        fleet: quickstart
      kustomization:
        targetNamespace: default
        interval: 5m0s
        path: ./kustomize
        prune: true
        timeout: 2m0s
""")


def write(folder: Path, git: str, clusters: list[str], pace: Pace) -> list[str]:
    """Write the documents and give their paths."""
    fleet, application = folder / "fleet.yaml", folder / "canary.yaml"
    fleet.write_text(FLEET + "".join(MEMBER.format(name=name) for name in clusters))
    text = APPLICATION.substitute(
        git=git, host=HOST, seconds=pace.check_seconds, load=pace.load, sync=pace.sync
    )
    application.write_text(text)
    return [str(fleet), str(application)]
