// Mutants puts faults into Berth, one at a time, and runs the tests that must notice: a guarantee counts only if the test that
// holds it can fail. It is what make mutants runs.
//
//	go run ./test/mutants            every defect
//	go run ./test/mutants -only G3   those whose name or guarantee contains this
//	go run ./test/mutants -list      what there is
//
// The faults are in a table, as pairs of texts, and go into the build through go build's -overlay: no file is changed, and no line of the
// code that users run knows of them.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "run the defects whose name or guarantee contains this")
	list := flag.Bool("list", false, "list the defects and run nothing")
	flag.Parse()
	if err := run(os.Stdout, *only, *list); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, only string, list bool) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	chosen := choose(only)
	if len(chosen) == 0 {
		return fmt.Errorf("no defect's name or guarantee contains %q", only)
	}
	if list {
		for _, d := range chosen {
			fmt.Fprintf(out, "%-30s %-4s %s\n", d.Name, d.Guarantee, d.What)
		}
		return nil
	}
	began := time.Now()
	if err := soundWithout(root, chosen); err != nil {
		return err
	}
	caught := 0
	for _, d := range chosen {
		verdict, err := try(root, d)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Name, err)
		}
		if verdict.caught {
			caught++
		}
		fmt.Fprintf(out, "%-30s %-4s %s\n", d.Name, d.Guarantee, verdict)
	}
	fmt.Fprintf(out, "%d of %d caught in %.0f s\n", caught, len(chosen), time.Since(began).Seconds())
	if caught < len(chosen) {
		return fmt.Errorf("%d of %d survived", len(chosen)-caught, len(chosen))
	}
	return nil
}

func choose(only string) []defect {
	var chosen []defect
	for _, d := range defects {
		if strings.Contains(d.Name, only) || strings.Contains(d.Guarantee, only) {
			chosen = append(chosen, d)
		}
	}
	return chosen
}
