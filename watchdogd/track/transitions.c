/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/track/tracker_internal.h"

#define W MQW_RECIPIENT_WAITING
#define D MQW_RECIPIENT_DEFERRED
#define S MQW_RECIPIENT_SENT
#define H MQW_RECIPIENT_HANDED_OFF
#define B MQW_RECIPIENT_BOUNCED
#define X MQW_RECIPIENT_DISCARDED
#define P MQW_RECIPIENT_PROBED
#define G MQW_RECIPIENT_GIVEN_UP
#define O MQW_RECIPIENT_WITHDRAWN

/*
 * From what was known (row) by what an attempt said (column).
 * Delivery is never taken back: lines may come out of order, and an address that two others expand
 * to may be tried again after it was served. A failure after a deferral is the later truth; a
 * deferral after a failure is either a late line or the second of two expansions, and the failure
 * was reported to the sender, so it stands. What an operator marked as done and is tried all the
 * same was another address of the same recipient.
 */
/* clang-format off */
static const unsigned char table[MQW_RECIPIENT_COUNT][MQW_OUTCOME_COUNT] = {
	/*                             sent off deferred bounced discarded probe skipped expired underway withdrawn */
	[MQW_RECIPIENT_WAITING] =     {S,   H,  D,       B,      X,        P,    D,      G,      D,       O},
	[MQW_RECIPIENT_DEFERRED] =    {S,   H,  D,       B,      X,        P,    D,      G,      D,       O},
	[MQW_RECIPIENT_SENT] =        {S,   S,  S,       S,      S,        S,    S,      S,      S,       S},
	[MQW_RECIPIENT_HANDED_OFF] =  {H,   H,  H,       H,      H,        H,    H,      H,      H,       H},
	[MQW_RECIPIENT_BOUNCED] =     {S,   H,  B,       B,      X,        B,    B,      B,      B,       B},
	[MQW_RECIPIENT_MISBOUNCED] =  {S,   H,  B,       B,      X,        B,    B,      B,      B,       B},
	[MQW_RECIPIENT_DISCARDED] =   {X,   X,  X,       X,      X,        X,    X,      X,      X,       X},
	[MQW_RECIPIENT_PROBED] =      {S,   H,  D,       B,      X,        P,    D,      G,      D,       O},
	[MQW_RECIPIENT_GIVEN_UP] =    {S,   H,  G,       B,      X,        G,    G,      G,      G,       O},
	[MQW_RECIPIENT_WITHDRAWN] =   {S,   H,  D,       B,      X,        O,    D,      G,      D,       O},
};
/* clang-format on */

enum mqw_recipient_state mqw_recipient_step(
	enum mqw_recipient_state from, enum mqw_outcome outcome, int code)
{
	enum mqw_recipient_state to = (enum mqw_recipient_state)table[from][outcome];

	if (to != MQW_RECIPIENT_BOUNCED)
		return to;
	/* A failure stands as it was when a later line is only a deferral. */
	if (outcome != MQW_OUTCOME_BOUNCED)
		return from;
	/* The code on the wire beats the class that the MTA gave it. */
	return code >= 400 && code < 500 ? MQW_RECIPIENT_MISBOUNCED : MQW_RECIPIENT_BOUNCED;
}
