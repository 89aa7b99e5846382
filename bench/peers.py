"""How each proxy is set up for a comparison: the same origin, an access log, a request id, and TLS when asked for."""

import json
import os
import subprocess

import lab

NGINX_CONF = """\
daemon off;
{user}
worker_processes {workers};
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/stderr.log warn;
events {{ worker_connections {slots}; }}
http {{
  {temp_paths}
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  client_max_body_size 0;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_header_timeout 1h;
  {http}
}}
"""
NGINX_ORIGIN = """access_log off;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; }}"""
NGINX_PEER = """log_format line escape=json '{{"time":"$time_iso8601","client":"$remote_addr",'
    '"method":"$request_method","uri":"$request_uri","status":$status,'
    '"bytes":$body_bytes_sent,"seconds":$request_time,"request_id":"$request_id"}}';
  access_log {folder}/access.log line;
  map $http_upgrade $hop {{ default "upgrade"; "" ""; }}
  upstream origin {{
    server 127.0.0.1:{origin_port};
    keepalive 64;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    {tls}
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection $hop;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      add_header X-Request-Id $request_id always;
      proxy_max_temp_file_size 0;
      proxy_request_buffering off;
      proxy_read_timeout 1h;
    }}
  }}"""
NGINX_TLS = """listen 127.0.0.1:{tls_port} ssl http2 backlog=4096;
    ssl_certificate {secrets}/cert.pem;
    ssl_certificate_key {secrets}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:10m;"""
HAPROXY_CFG = """\
global
  nbthread 2
  maxconn {slots}
  ssl-default-bind-options ssl-min-ver TLSv1.2
  log stdout format raw local0 info
defaults
  mode http
  log global
  option httplog
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend front
  bind 127.0.0.1:{port} backlog 4096
  {tls}
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  http-response set-header X-Request-Id %[unique-id]
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin_port}
"""
CADDYFILE = """\
{{
  admin off
  auto_https off
  log {{
    level WARN
  }}
}}
(proxy) {{
  log {{
    output file {folder}/access.log {{
      roll_disabled
    }}
    format json
  }}
  header X-Request-Id {{http.request.uuid}}
  reverse_proxy 127.0.0.1:{origin_port} {{
    header_up X-Request-Id {{http.request.uuid}}
    transport http {{
      keepalive_idle_conns_per_host 64
    }}
  }}
}}
http://:{port} {{
  bind 127.0.0.1
  import proxy
}}
{tls}
"""
CADDY_TLS = """https://:{tls_port} {{
  bind 127.0.0.1
  tls {secrets}/cert.pem {secrets}/key.pem
  import proxy
}}"""


def nginx_command(program, folder, workers, slots, http_lines):
    """Write a self-contained nginx.conf; return the foreground command for it."""
    built = subprocess.run([program, "-V"], capture_output=True, text=True).stderr
    optional = [module for module in ("fastcgi", "uwsgi", "scgi")
                if f"--without-http_{module}_module" not in built]
    (folder / "nginx.conf").write_text(NGINX_CONF.format(
        folder=folder, workers=workers, slots=slots, files=lab.raise_open_files(), http=http_lines,
        # As root, workers must be able to enter the folder, which is private to its owner.
        user="user root;" if os.geteuid() == 0 else "",
        temp_paths="\n  ".join(f"{name}_temp_path {folder}/temp_{name};"
                               for name in ["client_body", "proxy", *optional])))
    return [program, "-p", f"{folder}/", "-e", f"{folder}/stderr.log", "-c", f"{folder}/nginx.conf"]


def nginx_origin(program, base, slots=4096):
    """Make the folder of an origin that serves files; return the server, not started."""
    folder = base / "origin"
    folder.mkdir()
    [port] = lab.free_ports(1)
    return lab.Server("origin", folder, port, nginx_command(
        program, folder, 1, slots, NGINX_ORIGIN.format(port=port, folder=folder)))


def build(names, programs, base, origin_port, secrets=None, slots=4096, lines=()):
    """Write each peer's configuration; return {name: server}, not started. `secrets` is the folder of the certificate."""
    ports = lab.free_ports(2 * len(names) + 1)
    peers = {}
    for index, name in enumerate(names):
        folder = base / name
        folder.mkdir()
        values = {"folder": folder, "port": ports[2 * index], "tls_port": ports[2 * index + 1] if secrets else None,
                  "origin_port": origin_port, "slots": slots, "secrets": secrets, "admin_port": ports[-1],
                  "lines": lines}
        command, log = SETUPS[name](programs[name], values)
        peers[name] = lab.Server(name, folder, values["port"], command, log, tls_port=values["tls_port"],
                                 certificate=secrets and secrets / "cert.pem")
    return peers


def setup_nginx(program, values):
    """nginx with two workers."""
    tls = NGINX_TLS.format(**values) if values["secrets"] else ""
    http_lines = NGINX_PEER.format(tls=tls, **values)
    return (nginx_command(program, values["folder"], 2, values["slots"], http_lines),
            values["folder"] / "access.log")


def setup_haproxy(program, values):
    """HAProxy with two threads; its log goes to standard output, which is a file."""
    tls = "bind 127.0.0.1:{tls_port} backlog 4096 ssl crt {secrets}/both.pem alpn h2,http/1.1".format(**values)
    # It counts two open files for each connection, and does not start when it may not have them.
    slots = min(values["slots"], (lab.raise_open_files() - 100) // 2)
    config = HAPROXY_CFG.format(tls=tls if values["secrets"] else "", **values | {"slots": slots})
    (values["folder"] / "haproxy.cfg").write_text(config)
    return [program, "-db", "-f", f"{values['folder']}/haproxy.cfg"], values["folder"] / "stdout.log"


def setup_seaworthy(program, values):
    """Seaworthy with its defaults, and the time that an idle connection may stay raised like everyone else's."""
    log = values["folder"] / "access.log"
    settings = {"app.to": f"http://127.0.0.1:{values['origin_port']}", "edge.listen": f"127.0.0.1:{values['port']}",
                "edge.timeouts.request_head": "1h", "protection.body_limit": "8GiB",
                "observability.access_log": str(log),
                "admin.listen": f"127.0.0.1:{values['admin_port']}", "admin.socket": ""}
    text = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    if values["secrets"]:
        certificate = 'certificate = "{secrets}/cert.pem", key = "{secrets}/key.pem"'.format(**values)
        text += [f'edge.https = "127.0.0.1:{values["tls_port"]}"', "edge.redirect = false",
                 f"edge.tls.certificates = [{{ {certificate} }}]"]
    config = values["folder"] / "seaworthy.toml"
    config.write_text("\n".join([*text, *values["lines"]]) + "\n")
    return [program, "run", "--config", str(config)], log


def setup_envoy(program, values):
    """Envoy with two worker threads."""
    log = values["folder"] / "access.log"
    prefix = "type.googleapis.com/envoy.extensions."
    address = lambda port: {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    manager = {
        "@type": prefix + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front", "always_set_request_id_in_response": True, "use_remote_address": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "common_http_protocol_options": {"idle_timeout": "3600s"},
        "http_filters": [{"name": "envoy.filters.http.router",
                          "typed_config": {"@type": prefix + "filters.http.router.v3.Router"}}],
        "access_log": [{"name": "file", "typed_config": {
            "@type": prefix + "access_loggers.file.v3.FileAccessLog", "path": str(log)}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s"}}]}]}}
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    tls = {"name": "tls", "typed_config": {
        "@type": prefix + "transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [{
                "certificate_chain": {"filename": f"{values['secrets']}/cert.pem"},
                "private_key": {"filename": f"{values['secrets']}/key.pem"}}]}}}
    listeners = [{"name": "plain", "address": address(values["port"]), "filter_chains": [chain]}]
    if values["secrets"]:
        listeners.append({"name": "tls", "address": address(values["tls_port"]),
                          "filter_chains": [chain | {"transport_socket": tls}]})
    cluster = {"name": "origin", "type": "STATIC", "connect_timeout": "5s",
               "circuit_breakers": {"thresholds": [{"max_connections": 100000, "max_requests": 100000,
                                                    "max_pending_requests": 100000}]},
               "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [
                   {"endpoint": {"address": address(values["origin_port"])}}]}]}}
    config = values["folder"] / "envoy.json"
    config.write_text(json.dumps({"static_resources": {"listeners": listeners, "clusters": [cluster]}}, indent=1))
    return [program, "-c", str(config), "--concurrency", "2", "--disable-hot-restart", "-l", "warn"], log


def setup_caddy(program, values):
    """Caddy, which takes a thread for each CPU."""
    tls = CADDY_TLS.format(**values) if values["secrets"] else ""
    file = values["folder"] / "Caddyfile"
    file.write_text(CADDYFILE.format(tls=tls, **values))
    return ([program, "run", "--config", str(file), "--adapter", "caddyfile"], values["folder"] / "access.log")


SETUPS = {"nginx": setup_nginx, "haproxy": setup_haproxy, "seaworthy": setup_seaworthy, "envoy": setup_envoy,
          "caddy": setup_caddy}
