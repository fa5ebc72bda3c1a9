package moving

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// mostBytes is how long a file may be.
	mostBytes = 1 << 20
	// mostFiles is how many files one that was named may include, all together.
	mostFiles = 200
	// deepest is how many files may include each other.
	deepest = 10
)

// files reads the files that were named, and those below their folders that they include.
type files struct {
	// folder is the one that all files that were named are below, and that is left out of their names.
	folder   string
	included int
}

// commonFolder returns the folder that all files are below.
func commonFolder(names []string) string {
	folder := filepath.Dir(names[0])
	for _, name := range names {
		for folder != filepath.Dir(folder) {
			if relative, err := filepath.Rel(folder, name); err == nil && filepath.IsLocal(relative) {
				break
			}
			folder = filepath.Dir(folder)
		}
	}
	return folder
}

// short returns the name of a file as comments have it.
func (f *files) short(name string) string {
	if relative, err := filepath.Rel(f.folder, name); err == nil && filepath.IsLocal(relative) {
		return filepath.ToSlash(relative)
	}
	return name
}

// readNamed reads a file that was named on the command line.
func readNamed(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", plain(name, err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return "", plain(name, err)
	}
	defer func() { _ = file.Close() }()
	return readText(name, file)
}

// plain returns what is wrong with a file, which is named once.
func plain(name string, err error) error {
	var of *os.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// readText reads the text of a file.
func readText(name string, from io.Reader) (string, error) {
	content, err := io.ReadAll(io.LimitReader(from, mostBytes+1))
	if err != nil {
		return "", plain(name, err)
	}
	if len(content) > mostBytes {
		return "", fmt.Errorf("%s is longer than 1 MiB, which no config is", name)
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if bytes.IndexByte(content, 0) >= 0 || !utf8.Valid(content) {
		return "", fmt.Errorf("%s is not text in UTF-8: is it a binary file, or a config in another encoding?", name)
	}
	return strings.ReplaceAll(string(content), "\r\n", "\n"), nil
}

// A chain is the files that include each other, from the one that was named.
type chain []string

// within returns the names, below the folder of the file that was named, that a pattern stands for.
// What is beyond that folder is not read.
func (f *files) within(from chain, pattern string) ([]string, error) {
	folder, err := filepath.Abs(filepath.Dir(from[0]))
	if err != nil {
		return nil, err
	}
	full := pattern
	if !filepath.IsAbs(full) {
		full = filepath.Join(folder, pattern)
	}
	relative, err := filepath.Rel(folder, full)
	if err != nil || !filepath.IsLocal(relative) {
		return nil, fmt.Errorf("it is not below %s, so it was not read: name it as well", filepath.Dir(from[0]))
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, plain(folder, err)
	}
	defer func() { _ = root.Close() }()
	matches, err := fs.Glob(root.FS(), filepath.ToSlash(relative))
	if err != nil {
		return nil, fmt.Errorf("%q is no pattern of file names", shown(pattern))
	}
	var names []string
	for _, match := range matches {
		names = append(names, filepath.Join(filepath.Dir(from[0]), filepath.FromSlash(match)))
	}
	slices.Sort(names)
	if len(names) == 0 && !strings.ContainsAny(relative, "*?[") {
		return nil, fmt.Errorf("there is no such file")
	}
	return names, nil
}

// read reads a file that another one includes. Links that lead out of the folder are not followed.
func (f *files) read(from chain, name string) (string, error) {
	switch f.included++; {
	case slices.Contains(from, name):
		return "", fmt.Errorf("the files include each other in a circle: %s", strings.Join(f.shorts(append(slices.Clone(from), name)), " -> "))
	case len(from) > deepest:
		return "", fmt.Errorf("more than %d files include each other", deepest)
	case f.included > mostFiles:
		return "", fmt.Errorf("more than %d files are included", mostFiles)
	}
	folder := filepath.Dir(from[0])
	relative, err := filepath.Rel(folder, name)
	if err != nil {
		return "", err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", plain(folder, err)
	}
	defer func() { _ = root.Close() }()
	info, err := root.Stat(relative)
	if err != nil {
		return "", plain(f.short(name), err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", f.short(name))
	}
	file, err := root.Open(relative)
	if err != nil {
		return "", plain(f.short(name), err)
	}
	defer func() { _ = file.Close() }()
	return readText(f.short(name), file)
}

// shorts returns the names of files as comments have them.
func (f *files) shorts(names []string) (all []string) {
	for _, name := range names {
		all = append(all, f.short(name))
	}
	return all
}
