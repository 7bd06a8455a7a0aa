// Package tcpactor runs Berth's actors: it has the mailbox that pulls, the dispatchers, and the
// adapters from the three handler forms to the one engine.
//
// It lies in the folder actor and is imported as tcpactor, so that Proto.Actor's package keeps the
// plain name actor in every file that needs both. It redefines none of Proto.Actor's names.
package tcpactor
