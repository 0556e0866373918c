"""The data plane: Istio's objects, Services and Endpoints become files of one Envoy.

Three listeners: `gateway` (what enters the cluster), `mesh` (a pod with a sidecar, as a forward proxy) and
`services` (a pod without one: Services only). All three speak HTTP; `tcp` and `tls` routes have no listener
here, for a forward proxy never learns which address a connection was meant for: they are logged instead.
"""
