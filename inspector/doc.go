// Package inspector shows a running server in a browser: the tree of its actors, its connections,
// what has ended and why, and how the load has moved.
//
//	pages, err := inspector.New(inspector.Options{}, server)
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer pages.Close()
//	log.Fatal(http.ListenAndServe("127.0.0.1:7001", pages))
//
// An Inspector is an http.Handler. Everything that the pages show is JSON below api/; see
// docs/inspector.md. It can be mounted below a path with http.StripPrefix, as "/inspector/" with
// the slash at its end.
//
// The connections are looked at only while requests for them come, at most every 400 ms, however
// many requests there are. One goroutine looks at the servers' totals once a second, for the plots.
// Without an Inspector there is no cost.
//
// Options.AllowRemote decides which clients may look, Options.Actions which may act.
package inspector
