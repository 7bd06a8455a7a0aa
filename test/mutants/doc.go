// Package mutants puts faults into Berth, one at a time, and runs the tests that must notice: a
// guarantee counts only if the test that holds it can fail.
//
//	make mutants                                                       every defect
//	go test ./test/mutants -v -run EveryDefectIsCaught -mutants G3      those whose name or guarantee contains this
//
// The faults are in a table, as pairs of texts, and go into the build through go build's -overlay:
// no file is changed, and no line of the code that users run knows of them.
package mutants
