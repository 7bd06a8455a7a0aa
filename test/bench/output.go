package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-berth/berth/test/bench/plots"
	"github.com/go-berth/berth/test/bench/report"
)

// write puts the results into dir as results.json, results.md and plots, and returns the Markdown.
func write(dir string, r report.Report) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("there is no directory for the results: %w", err)
	}
	var numbers, text bytes.Buffer
	if err := r.WriteJSON(&numbers); err != nil {
		return "", fmt.Errorf("the results cannot be written as JSON: %w", err)
	}
	if err := r.WriteMarkdown(&text); err != nil {
		return "", err
	}
	for name, content := range map[string][]byte{"results.json": numbers.Bytes(), "results.md": text.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return "", fmt.Errorf("the results cannot be written: %w", err)
		}
	}
	if _, err := plots.Write(dir, r); err != nil {
		return "", err
	}
	return text.String(), nil
}
