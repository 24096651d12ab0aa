/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ID-H as Exim 4.96 writes it, for the tests of what is read out of it and put back. */
#ifndef MQW_TESTS_EXIM_FIXTURE_H
#define MQW_TESTS_EXIM_FIXTURE_H

#define ID "1xW41t-0006Lt-2s"
#define BACK "1xW41t-z006Lt-2s"

#define HEAD                                                                                       \
	"Debian-exim 100 102\n<alice@exim.example.com>\n1795578645 1\n"                            \
	"-received_time_usec .891511\n--helo_name client.example.com\n-aclm 0 9\nab\n-x\nXX\n\n"   \
	"-received_protocol esmtp\n"
#define MAIL_HEADERS                                                                               \
	"\n031F From: <alice@exim.example.com>\n041* Message-ID: <removed@client.example.com>\n"   \
	"039I Message-ID: <vault@client.example.com>\n"
#define ENVELOPE                                                                                   \
	ID "-H\n" HEAD "YN ok9@remote.test\nNN hard9@remote.test\n4\nsoft9@remote.test\n"          \
	   "ok9@remote.test\nhard9@remote.test\n"                                                  \
	   "\"a b\"@Remote.test rfc822;x@y 10,3 e@z 3,-1#3\n" MAIL_HEADERS

#endif
