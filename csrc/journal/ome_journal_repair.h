/* Repair: makes a damaged journal one that can be read again, with as little lost as can be. Nothing is removed: what is no part of the
 * journal any more gets the name `<name>.set-aside`, or is saved to a file as a torn tail is.
 *
 * Run by people who have a copy, on a directory that nobody else uses. There are two ways. Where a snapshot has the state behind the
 * damage, the journal may begin behind the snapshot (ome_journal_begin): nothing that was acknowledged is lost, but what was before
 * cannot be read any more. Otherwise it ends before the damage (ome_journal_cut); what that loses a survey says before
 * (ome_journal_survey). Each step is safe to do again when the process dies or the power fails between or inside them: then the journal
 * is damaged as it was, or less, and repair is run again.
 *
 * This header is all that a repair needs. Each part uses those below it:
 *     ome_journal_begin, ome_journal_cut    the two ways
 *     ome_journal_making                    a segment made of the records of another
 *     ome_journal_survey                    what a cut would lose
 *     ome_journal_search                    records found at any byte
 *     ome_journal_directory                 segments as whole files */
#ifndef OME_JOURNAL_REPAIR_H
#define OME_JOURNAL_REPAIR_H

#include "journal/ome_journal_begin.h"
#include "journal/ome_journal_cut.h"
#include "journal/ome_journal_directory.h"
#include "journal/ome_journal_reader.h"
#include "journal/ome_journal_survey.h"

#endif
