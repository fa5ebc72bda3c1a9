package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is the Caddy that is shown.
type server struct {
	options     *options
	dir         string
	port, admin string
	command     *exec.Cmd
	log         *os.File
	// done is closed when the process has ended.
	done chan struct{}
}

const (
	startTimeout = 20 * time.Second
	endTimeout   = 30 * time.Second
	hub          = "shown"
)

func newServer(o *options) (*server, error) {
	dir, err := os.MkdirTemp("", "changeover-")
	if err != nil {
		return nil, err
	}
	s := &server{options: o, dir: dir}
	for _, port := range []*string{&s.port, &s.admin} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		_, *port, _ = net.SplitHostPort(listener.Addr().String())
		_ = listener.Close()
	}
	s.log, err = os.Create(filepath.Join(dir, "caddy.log"))
	return s, err
}

func (s *server) scheme() string {
	if s.options.tls {
		return "https"
	}
	return "http"
}

func (s *server) url() string { return s.scheme() + "://127.0.0.1:" + s.port + "/socket.io/" }

// config is the Caddyfile of a generation. Each differs from the one before in what it answers, and
// in an option.
func (s *server) config(generation int, name string) string {
	directive := "respond nobody"
	if name != "" {
		directive = fmt.Sprintf("socketio_stream {\n hub %s\n ping_timeout %dms\n max_connections %d\n handshake_rate off\n drain %s\n health /health\n %s\n }",
			name, 20_000+generation%2, 100_000+generation, s.options.drain, s.options.lines)
	}
	wrapper := ""
	if s.options.wrapper {
		wrapper = "servers {\n listener_wrappers {\n socketio_stream\n }\n }"
	}
	return fmt.Sprintf(`{
	admin 127.0.0.1:%s
	persist_config off
	local_certs
	skip_install_trust
	auto_https disable_redirects
	storage file_system %s
	default_bind 127.0.0.1
	log {
		level WARN
	}
	%s
}
%s://localhost:%s {
	header X-Generation %d
	%s
}
`, s.admin, s.dir, wrapper, s.scheme(), s.port, generation, directive)
}

// start runs Caddy and returns once it answers.
func (s *server) start(ctx context.Context) error {
	file := filepath.Join(s.dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(s.config(0, hub)), 0o600); err != nil {
		return err
	}
	s.command = exec.Command(s.options.caddy, "run", "--adapter", "caddyfile", "--config", file)
	s.command.Env = append(os.Environ(), "HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir, "XDG_DATA_HOME="+s.dir)
	s.command.Dir, s.command.Stdout, s.command.Stderr = s.dir, s.log, s.log
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.command.Start(); err != nil {
		return err
	}
	done, command := make(chan struct{}), s.command
	s.done = done
	go func() {
		_ = command.Wait()
		close(done)
	}()
	for deadline := time.Now().Add(startTimeout); ; {
		if _, err := s.goroutines(ctx); err == nil {
			if conn, err := net.Dial("tcp", "127.0.0.1:"+s.port); err == nil {
				return conn.Close()
			}
		}
		select {
		case <-done:
			return errors.New("the server ended: " + s.lastWords())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return errors.New("the server does not answer: " + s.lastWords())
		}
	}
}

// terminate sends SIGTERM and returns how long the process took to end.
func (s *server) terminate() (time.Duration, error) {
	begun := time.Now()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	select {
	case <-s.done:
		return time.Since(begun), nil
	case <-time.After(endTimeout):
		_ = s.command.Process.Kill()
		<-s.done
		return 0, errors.New("the server had to be killed")
	}
}

func (s *server) running() bool {
	if s.done == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// remove ends what runs, and removes its files.
func (s *server) remove() {
	if s.running() {
		_, _ = s.terminate()
	}
	_ = s.log.Close()
	_ = os.RemoveAll(s.dir)
}

// load makes Caddy run a config, and returns how long that took.
func (s *server) load(ctx context.Context, config string) (time.Duration, error) {
	begun := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:"+s.admin+"/load", strings.NewReader(config))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "text/caddyfile")
	response, err := s.client().Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the reload was answered %s: %s", response.Status, body)
	}
	return time.Since(begun), nil
}

// client asks the admin endpoint. Each request has a connection of its own: a reload replaces that
// endpoint as well.
func (s *server) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: startTimeout}
}

// profile asks for one of Go's profiles. The endpoint that is just being replaced may drop the
// question, which changes nothing and is asked again.
func (s *server) profile(ctx context.Context, path string) (answer []byte, err error) {
	const attempts = 3
	for range attempts {
		if answer, err = s.askProfile(ctx, path); err == nil {
			break
		}
	}
	return answer, err
}

func (s *server) askProfile(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+s.admin+"/debug/pprof/"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := s.client().Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

var (
	goroutineTotal = regexp.MustCompile(`goroutine profile: total (\d+)`)
	heapAlloc      = regexp.MustCompile(`# HeapAlloc = (\d+)`)
)

func (s *server) goroutines(ctx context.Context) (float64, error) {
	return s.number(ctx, "goroutine?debug=1", goroutineTotal)
}

// heap returns the bytes that are in use after a collection.
func (s *server) heap(ctx context.Context) (float64, error) {
	return s.number(ctx, "heap?debug=1&gc=1", heapAlloc)
}

func (s *server) number(ctx context.Context, path string, pattern *regexp.Regexp) (float64, error) {
	text, err := s.profile(ctx, path)
	if err != nil {
		return 0, err
	}
	found := pattern.FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("%s does not tell", path)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// races counts what the race detector has seen, for a Caddy that was built with it.
func (s *server) races() int {
	content, _ := os.ReadFile(s.log.Name())
	return bytes.Count(content, []byte("WARNING: DATA RACE"))
}

func (s *server) panics() int {
	content, _ := os.ReadFile(s.log.Name())
	return bytes.Count(content, []byte("panic"))
}

func (s *server) lastWords() string {
	content, _ := os.ReadFile(s.log.Name())
	return string(content[max(0, len(content)-2000):])
}
