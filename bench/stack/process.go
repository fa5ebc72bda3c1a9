package stack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// starter is a stack in the making and, once it runs, what ends it.
type starter struct {
	dir      string
	tls      bool
	binaries Binaries
	settings Settings
	// compression switches on what the stack has of it: for WebSocket and for long-polling, from 1
	// KB on.
	compression bool
	// address is where clients connect, set by the stack's start function.
	address string
	// admin is the address of Caddy's admin endpoint, empty without Caddy.
	admin     string
	processes []*process
}

// process is one program of a stack.
type process struct {
	command *exec.Cmd
	name    string
	log     *os.File
	done    chan struct{}
	err     error
}

// endTimeout is how long a process may take to end when asked to.
const endTimeout = 5 * time.Second

// run starts a program with its output in a file. When announces is set, the program prints
// `listening <address>` as its first line, which is waited for and returned.
func (st *starter) run(announces bool, environment []string, name string, arguments ...string) (address string, err error) {
	log, err := os.Create(filepath.Join(st.dir, fmt.Sprintf("%d-%s.log", len(st.processes), filepath.Base(name))))
	if err != nil {
		return "", err
	}
	command := exec.Command(name, arguments...)
	command.Env = append(append(os.Environ(), "HOME="+st.dir, "XDG_CONFIG_HOME="+st.dir, "XDG_DATA_HOME="+st.dir), environment...)
	command.Dir = st.dir
	command.Stderr = log
	command.Stdout = log
	// Only its starter ends it: not the terminal, whose interrupt goes to a whole process group.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var output io.ReadCloser
	if announces {
		command.Stdout = nil
		if output, err = command.StdoutPipe(); err != nil {
			return "", errors.Join(err, log.Close())
		}
	}
	if err := command.Start(); err != nil {
		return "", errors.Join(err, log.Close())
	}
	p := &process{command: command, name: filepath.Base(name), log: log, done: make(chan struct{})}
	st.processes = append(st.processes, p)
	first := make(chan string, 1)
	go func() {
		defer close(p.done)
		if announces {
			reader := bufio.NewReader(output)
			// A program that ends without a word leaves an empty line here, and its error below.
			line, _ := reader.ReadString('\n')
			first <- line
			_, _ = io.Copy(log, reader)
		}
		p.err = command.Wait()
	}()
	if !announces {
		return "", nil
	}
	select {
	case line := <-first:
		address, found := strings.CutPrefix(strings.TrimSpace(line), "listening ")
		if !found {
			return "", fmt.Errorf("%s did not say where it listens", p.name)
		}
		return address, nil
	case <-time.After(readyTimeout):
		return "", fmt.Errorf("%s did not say where it listens within %v", p.name, readyTimeout)
	}
}

func (st *starter) pids() (pids []int) {
	for _, p := range st.processes {
		pids = append(pids, p.command.Process.Pid)
	}
	return pids
}

// ended returns an error when one of the processes is no more.
func (st *starter) ended() error {
	for _, p := range st.processes {
		select {
		case <-p.done:
			if p.err == nil {
				return fmt.Errorf("%s ended by itself", p.name)
			}
			return fmt.Errorf("%s ended: %w", p.name, p.err)
		default:
		}
	}
	return nil
}

// stop ends the processes, the front one first, and removes the stack's files.
func (st *starter) stop() error {
	var failures []error
	for i := len(st.processes) - 1; i >= 0; i-- {
		p := st.processes[i]
		_ = p.command.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(endTimeout):
			_ = p.command.Process.Kill()
			<-p.done
			failures = append(failures, fmt.Errorf("%s had to be killed", p.name))
		}
		failures = append(failures, p.log.Close())
	}
	st.processes = nil
	return errors.Join(append(failures, os.RemoveAll(st.dir))...)
}

// lastWords are the ends of the processes' logs, to be shown when a stack does not start.
func (st *starter) lastWords() string {
	var words strings.Builder
	for _, p := range st.processes {
		content, err := os.ReadFile(p.log.Name())
		if err == nil && len(content) > 0 {
			fmt.Fprintf(&words, "\n%s says: %s", p.name, content[max(0, len(content)-2000):])
		}
	}
	return words.String()
}
