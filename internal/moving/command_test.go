package moving

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// run runs the command, and returns what it wrote.
func run(args ...string) (stdout, stderr string, err error) {
	command := NewCommand()
	var out, errs bytes.Buffer
	command.SetOut(&out)
	command.SetErr(&errs)
	command.SetArgs(append([]string{}, args...))
	command.SilenceErrors, command.SilenceUsage = true, true
	err = command.Execute()
	return out.String(), errs.String(), err
}

// TestCommandSaysWhatIsLeft holds that the Caddyfile is on stdout, what is left on stderr, and that the
// error says which it is.
func TestCommandSaysWhatIsLeft(t *testing.T) {
	stdout, stderr, err := run("testdata/nginx/01-one-site/site.conf")
	if err != nil || stderr != "" || !strings.Contains(stdout, "# from site.conf:10: client_max_body_size 20m\n\t\t\tmax_http_buffer_size 20MiB\n") {
		t.Errorf("where all is taken: %v, stderr %q, stdout:\n%s", err, stderr, stdout)
	}
	stdout, stderr, err = run("testdata/nginx/10-whole-app/default")
	var leaves *LeftError
	if !errors.As(err, &leaves) || leaves.ExitStatus() != 2 || leaves.Count != strings.Count(stderr, "\n") {
		t.Errorf("where lines are left: %v, stderr:\n%s", err, stderr)
	}
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "default:") || !strings.Contains(stdout, "#   "+line) {
			t.Errorf("the Caddyfile does not say %q", line)
		}
	}
	if _, _, err := run(); err == nil || !strings.Contains(err.Error(), "name the files") {
		t.Errorf("without a file: %v", err)
	}
}

// TestCommandKeepsWhatIsThere holds that --output writes a file that is new, and no other.
func TestCommandKeepsWhatIsThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Caddyfile")
	stdout, _, err := run("--output", file, "testdata/nginx/01-one-site/site.conf")
	if err != nil || stdout != "" {
		t.Fatalf("%v, stdout %q", err, stdout)
	}
	before, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(before), "socketio_stream") {
		t.Fatalf("%v, the file holds %q", err, before)
	}
	if _, _, err = run("--output", file, "testdata/nginx/02-debian/nginx.conf"); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a file that is there: %v", err)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
		t.Errorf("%v, the file was changed", err)
	}
	if _, _, err = run("--output", filepath.Join(file, "below"), "testdata/nginx/01-one-site/site.conf"); err == nil {
		t.Error("a file below a file was written")
	}
}
