// Package mutants puts faults into Berth, one at a time, and runs the tests that must notice. A
// guarantee counts only if its test can fail.
//
//	make mutants                                                       every defect
//	go test ./test/mutants -v -run EveryDefectIsCaught -mutants G3      name or guarantee
//
// The faults are in a table, as pairs of texts, and go into the build through go build's -overlay:
// no file is changed, and the code that users run contains nothing of them.
package mutants
