package moving

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// readPM2 adds what an ecosystem file of PM2 says. Nothing in it is run.
func (s *setup) readPM2(name, text string) error {
	file := s.short(name)
	js := parseScript(text, nil)
	var apps *value
	for i := range js.tokens {
		if js.tokens[i].text == "apps" && js.is(i+1, ":") {
			apps, _ = js.value(i + 2)
			break
		}
	}
	if apps == nil && len(js.tokens) > 0 && js.is(0, "[") {
		apps, _ = js.value(0)
	}
	switch {
	case apps == nil:
		return errors.New(name + " has no list of apps")
	case apps.kind == isObject:
		apps = &value{kind: isList, items: []*value{apps}}
	case apps.kind != isList:
		d := &directive{place: place{file, max(1, apps.line)}, name: "apps", text: "apps: " + apps.source}
		d.leave("the list of apps is made where it cannot be read without running the file: start Caddy in place of them by its service unit")
		s.directives = append(s.directives, d)
		return nil
	}
	for _, app := range apps.items {
		s.app(file, app)
	}
	return nil
}

// app reads one app of PM2.
func (s *setup) app(file string, app *value) {
	p := &process{env: map[string]string{}, lines: map[string]*directive{}}
	for _, f := range app.fields {
		d := directiveOf(file, f)
		d.program = true
		s.directives = append(s.directives, d)
		switch {
		case f.name == "script":
			p.script = f.value.text
			d.needless("Caddy is started by its service unit")
		case f.name == "env" || f.name == "env_production":
			d.text = f.name
			s.variables(d, file, f.value, p)
		case strings.HasPrefix(f.name, "env_"):
			d.text = f.name
			d.needless("it is for other machines than this one")
		case f.name == "instances" || f.name == "exec_mode":
			d.needless("one process of Caddy takes all processors")
		case f.name == "max_memory_restart" || f.name == "node_args" || f.name == "interpreter" || f.name == "interpreter_args":
			d.needless("it is about Node.js; see hub_buffer for what Caddy may take of the memory")
		case f.name == "watch" || f.name == "ignore_watch":
			d.needless("`caddy reload` takes a new config, and disconnects nobody")
		case slices.Contains([]string{"name", "cwd", "autorestart", "restart_delay", "max_restarts", "min_uptime", "exp_backoff_restart_delay",
			"kill_timeout", "wait_ready", "listen_timeout", "uid", "gid", "user", "args", "namespace", "cron_restart", "shutdown_with_message",
			"instance_var", "source_map_support", "vizion", "treekill", "increment_var", "force", "env_file"}, f.name):
			d.needless("the service unit of Caddy says this")
		case slices.Contains([]string{"error_file", "out_file", "log_file", "log_date_format", "merge_logs", "combine_logs", "log_type", "time", "pid_file", "error", "output", "log"}, f.name):
			d.needless("Caddy's log has what it is for")
		default:
			d.leave("this is not known here: see what the service unit of Caddy has of it")
		}
	}
	if len(app.fields) == 0 {
		d := &directive{place: place{file, max(1, app.line)}, name: "app", text: app.source}
		d.leave("this app could not be read without running the file")
		s.directives = append(s.directives, d)
		return
	}
	s.processes = append(s.processes, p)
}

// variables reads the environment of a process. Only names are repeated in comments, since values may be secret.
func (s *setup) variables(d *directive, file string, v *value, p *process) {
	d.needless("each has a line of its own")
	if v.kind != isObject {
		d.leave("the variables could not be read without running the file")
		return
	}
	for _, f := range v.fields {
		inner := &directive{place: place{file, f.line}, name: f.name, text: f.name, program: true}
		d.block = append(d.block, inner)
		text := f.value.text
		switch f.value.kind {
		case isNumber:
			text = strconv.FormatFloat(f.value.number, 'f', -1, 64)
		case isTrue:
			text = "true"
		case isFalse:
			text = "false"
		case isText:
		default:
			inner.leave("its value could not be read without running the file")
			continue
		}
		p.env[f.name], p.lines[f.name] = text, inner
		variableFate(inner)
	}
}

// variableFate says of a variable of the environment of a service what becomes of it.
func variableFate(d *directive) {
	switch {
	case d.name == "PORT":
		d.needless("there is no second port: Caddy answers Socket.IO itself")
	case d.name == "NODE_ENV" || d.name == "DEBUG" || strings.HasPrefix(d.name, "NODE_") || strings.HasPrefix(d.name, "NPM_"):
		d.needless("it is about Node.js")
	default:
		d.leave("where the service goes by it, Caddy needs it in its service unit, as {env.%s} or {file.PATH} in the Caddyfile", envText(d.name))
	}
}

// envText returns the name of a variable, or a stand-in where it is none.
func envText(name string) string {
	if envName.MatchString(name) {
		return name
	}
	return "NAME"
}
