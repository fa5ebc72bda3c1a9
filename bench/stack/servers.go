package stack

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// environment is what the peers read their settings from.
func (st *starter) environment() []string {
	milliseconds := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	audience := "all"
	if st.settings.Subscribers {
		audience = "subscribers"
	}
	compression := "off"
	if st.compression {
		compression = "on"
	}
	return []string{
		"PORT=0",
		"COMPRESSION=" + compression,
		"AUDIENCE=" + audience,
		"NODE_ENV=production",
		"PING_INTERVAL_MS=" + milliseconds(st.settings.PingInterval),
		"PING_TIMEOUT_MS=" + milliseconds(st.settings.PingTimeout),
	}
}

func (st *starter) node() (string, error) {
	return st.run(true, st.environment(), "node", filepath.Join(st.binaries.Node, "server.mjs"))
}

func startNodeAlone(st *starter) (err error) {
	st.address, err = st.node()
	return err
}

func startZishang(st *starter) (err error) {
	st.address, err = st.run(true, st.environment(), st.binaries.Zishang)
	return err
}

func startFloor(mode string) func(*starter) error {
	return func(st *starter) (err error) {
		arguments := []string{"-mode", mode}
		if st.tls {
			certificate, key, err := st.certificate()
			if err != nil {
				return err
			}
			arguments = append(arguments, "-cert", certificate, "-key", key)
		}
		st.address, err = st.run(true, st.environment(), st.binaries.Floor, arguments...)
		return err
	}
}

// startModule runs Caddy with this module: one process, no proxy behind it.
func startModule(st *starter) error {
	namespace := ""
	if st.settings.Subscribers {
		namespace = "\t\tnamespace / {\n\t\t\tevents streaming {\n\t\t\t\taudience subscribers\n\t\t\t}\n\t\t}\n"
	}
	compression := ""
	if st.compression {
		compression = "\t\tper_message_deflate\n\t\thttp_compression\n"
	}
	if st.settings.Limited {
		namespace = "\t\tnamespace / {\n\t\t\tevents streaming\n\t\t}\n\t\tnamespace /apart {\n\t\t\tevents streaming\n\t\t}\n"
	}
	limits := "\t\thandshake_rate off\n"
	if st.settings.Limited {
		limits = fmt.Sprintf("\t\thub_buffer %d\n\t\tper_message_deflate\n\t\tlimits {\n\t\t\tallow none\n\t\t}\n", HubBuffer)
	}
	return st.caddy(fmt.Sprintf("socketio_stream {\n\t\thealth /health\n\t\tping_interval %s\n\t\tping_timeout %s\n%s%s%s\t}",
		st.settings.PingInterval, st.settings.PingTimeout, compression, limits, namespace))
}

// startCaddyProxy runs Node and Caddy's reverse_proxy in front of it.
func startCaddyProxy(st *starter) error {
	behind, err := st.node()
	if err != nil {
		return err
	}
	return st.caddy("reverse_proxy " + behind)
}

// caddy serves one site with the given directive.
func (st *starter) caddy(directive string) (err error) {
	if st.address, err = freeAddress(); err != nil {
		return err
	}
	if st.admin, err = freeAddress(); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(st.address)
	if err != nil {
		return err
	}
	scheme := "http"
	if st.tls {
		scheme = "https"
	}
	config, err := st.write("Caddyfile", fmt.Sprintf(`{
	admin %s
	persist_config off
	local_certs
	skip_install_trust
	auto_https disable_redirects
	grace_period 1s
	storage file_system %s
	default_bind 127.0.0.1
}

%s://localhost:%s {
	%s
}
`, st.admin, st.dir, scheme, port, directive))
	if err != nil {
		return err
	}
	_, err = st.run(false, nil, st.binaries.Caddy, "run", "--adapter", "caddyfile", "--config", config)
	return err
}

// startNginx runs Node and nginx in front of it, set up as its manual says for WebSockets.
func startNginx(st *starter) error {
	behind, err := st.node()
	if err != nil {
		return err
	}
	if st.address, err = freeAddress(); err != nil {
		return err
	}
	certificate, key, err := st.certificate()
	if err != nil {
		return err
	}
	user := ""
	if os.Getuid() == 0 {
		// The workers must be able to enter this folder.
		user = "user root;"
	}
	config, err := st.write("nginx.conf", fmt.Sprintf(`%[1]s
daemon off;
worker_processes auto;
worker_rlimit_nofile 60000;
pid %[2]s/nginx.pid;
error_log stderr error;
events { worker_connections 20000; }
http {
	access_log off;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
	upstream node { server %[3]s; keepalive 64; }
	server {
		listen %[4]s ssl;
		server_name localhost;
		ssl_certificate %[5]s;
		ssl_certificate_key %[6]s;
		ssl_protocols TLSv1.2 TLSv1.3;
		location / {
			proxy_pass http://node;
			proxy_http_version 1.1;
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_read_timeout 120s;
		}
	}
}
`, user, st.dir, behind, st.address, certificate, key))
	if err != nil {
		return err
	}
	_, err = st.run(false, nil, "nginx", "-p", st.dir, "-c", config)
	return err
}
