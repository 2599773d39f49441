// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does the kernel with a translated filter say of each frame what the module
 * says with the filter itself, and would keep as many bytes? Random programs
 * and expressions, random frames and those of savefiles.
 *
 * cbpf [-n PROGRAMS] [-f FRAMES] [-e EXPRESSIONS]... [SAVEFILE]...
 */
#include <config.h>
#include <pcap-int.h>

#include <errno.h>
#include <unistd.h>

#include "cbpf/frames.h"
#include "cbpf/kernel.h"
#include "cbpf/module.h"
#include "cbpf/programs.h"
#include "unit/check.h"

#define FRAMES_FOR_PROGRAM 48u
#define FRAMES_FOR_SECOND  200u /* form of a filter, not optimized */
#define SUBJECTS_MAX	   4000u
#define FILES_MAX	   16
#define LINE_MAX_SIZE	   16384
#define SNAPLEN		   262144
#define NETMASK		   0x00ffffff
#define LONG_FRAMES	   12
#define LONGEST_ON_LO	   65000u
#define MOST		   8 /* all but this part of our expressions is for Ethernet */

#ifdef BPF_SPECIAL_BASIC_HANDLING
#define CODEGEN_FLAGS (BPF_SPECIAL_VLAN_HANDLING | BPF_SPECIAL_BASIC_HANDLING)
#else
#define CODEGEN_FLAGS BPF_SPECIAL_VLAN_HANDLING
#endif

static struct {
	u_int programs;
	u_int frames;
	const char *expressions[FILES_MAX];
	int expression_count;
	char **savefiles;
	int savefile_count;
} settings = { .programs = 10000, .frames = 300 };

struct subjects {
	struct subject all[SUBJECTS_MAX];
	u_int count;
};

static struct subjects ethernet, raw, in_pieces;

/* What became of the filters of a case. */
struct tally {
	u_int filters;
	u_int translated;
	u_int unsupported;
	u_int refused; /* by the verifier */
	u_int other;
	unsigned long judged;
	unsigned long kept;
	u_int wrong;
};

/* A classic program, and what it was compiled for. */
struct candidate {
	const char *name;
	struct bpf_program program;
	uint32_t link; /* number, of module.h */
	bool outgoing;
};

static const uint32_t link_sizes[MODULE_LINKS] = { 0, 16, 20 };

/* --- frames ------------------------------------------------------------- */

static void
add_subject(struct subjects *to, struct sample *sample)
{
	kernel_describe(sample);
	if (to->count < SUBJECTS_MAX)
		module_see(&to->all[to->count++], sample);
	else
		free(sample->bytes);
}

static void
add_savefile(const char *path)
{
	char text[PCAP_ERRBUF_SIZE];
	pcap_t *file = pcap_open_offline(path, text);
	struct pcap_pkthdr *header;
	const u_char *bytes;

	if (file == NULL) {
		printf("FAIL cbpf: %s\n", text);
		exit(EXIT_FAILURE);
	}
	while (pcap_next_ex(file, &header, &bytes) == 1) {
		struct sample sample;

		if (header->caplen < ETH_HLEN ||
		    header->caplen > FRAMES_LONGEST)
			continue;
		frames_dress(&sample, bytes, header->caplen);
		add_subject(&ethernet, &sample);
	}
	pcap_close(file);
}

static void
make_subjects(void)
{
	struct sample sample;

	check_seed = 1;
	for (u_int i = 0; i < settings.frames; i++) {
		frames_make(&sample, true);
		add_subject(&ethernet, &sample);
	}
	for (u_int i = 0; i < settings.frames / 2; i++) {
		frames_make(&sample, false);
		add_subject(&raw, &sample);
	}
	for (int i = 0; i < settings.savefile_count; i++)
		add_savefile(settings.savefiles[i]);
}

/* What the program on a device would say of the frame. */
static void
describe_on_lo(struct sample *sample)
{
	kernel_describe(sample);
	sample->frame.pkttype = PACKET_OUTGOING;
	sample->frame.len = sample->frame.caplen = sample->len;
}

/* Longer than a page, so the kernel has most of it in other pages. */
static void
make_long_subjects(void)
{
	static struct frames_buffer start;

	for (u_int i = 0; i < LONG_FRAMES; i++) {
		uint32_t len = 5000 + check_random(LONGEST_ON_LO - 5000);
		uint8_t *bytes = malloc(len);
		struct sample sample;

		if (bytes == NULL)
			abort();
		frames_build(&start, true);
		for (uint32_t n = 0; n < len; n++)
			bytes[n] = (uint8_t)check_random(256);
		memcpy(bytes, start.bytes, start.len);
		/* described by its start: a test run takes no more */
		frames_dress(&sample, bytes, start.len);
		sample.tpid = 0;
		sample.network = ETH_HLEN;
		describe_on_lo(&sample);
		free(sample.bytes);
		sample.bytes = bytes;
		sample.len = sample.frame.len = sample.frame.caplen = len;
		module_see(&in_pieces.all[in_pieces.count++], &sample);
	}
}

static void
forget(struct subjects *subjects)
{
	for (u_int i = 0; i < subjects->count; i++)
		module_forget(&subjects->all[i]);
	subjects->count = 0;
}

/* --- judgements --------------------------------------------------------- */

static void
print_program(const struct bpf_program *program)
{
	for (u_int i = 0; i < program->bf_len && i < 300; i++)
		printf("    { 0x%02x, %u, %u, 0x%08x } %s\n",
		       program->bf_insns[i].code, program->bf_insns[i].jt,
		       program->bf_insns[i].jf, program->bf_insns[i].k,
		       bpf_image(&program->bf_insns[i], (int)i));
}

static void
print_difference(const struct candidate *c, const struct subject *subject,
		 uint32_t kernel, uint32_t module)
{
	const struct sample *sample = &subject->sample;

	printf("  \"%s\", link %u, %s: kernel %u, module %u\n", c->name,
	       c->link, c->outgoing ? "out" : "in", kernel, module);
	printf("  frame of %u bytes, tag %04x %04x, type %u, network %u:",
	       sample->len, sample->tpid, sample->tci, sample->type,
	       sample->network);
	for (uint32_t i = 0; i < sample->len && i < 100; i++)
		printf("%s%02x", i % 16 == 0 ? " " : "", sample->bytes[i]);
	printf("\n");
	print_program(&c->program);
}

static void
judge(struct tally *tally, const struct candidate *c,
      struct ebpftls_filter *filter, const struct subject *subject)
{
	uint32_t kernel = kernel_judge(&subject->sample);
	uint32_t module = module_judge(filter, subject, c->link, c->outgoing);

	tally->judged++;
	tally->kept += module > 0;
	if (kernel == module)
		return;
	if (tally->wrong++ == 0)
		print_difference(c, subject, kernel, module);
}

/* Whether the filter is in the kernel now. */
static bool
load_candidate(struct tally *tally, const struct candidate *c)
{
	int result = kernel_load(c->program.bf_insns, c->program.bf_len,
				 link_sizes[c->link], c->outgoing);

	tally->filters++;
	if (result > 0)
		tally->translated++;
	else if (result == -ENOTSUP)
		tally->unsupported++;
	else if (result == -EACCES)
		tally->refused++;
	else
		tally->other++;
	if (result <= 0 && result != -ENOTSUP) {
		printf("  \"%s\": %s\n", c->name, strerror(-result));
		print_program(&c->program);
	}
	return result > 0;
}

/* Holds a filter against `count` of the frames, or all. */
static void
try_candidate(struct tally *tally, const struct candidate *c,
	      const struct subjects *subjects, u_int count)
{
	struct ebpftls_filter filter = { .load_count = 0 };
	u_int first =
	    count < subjects->count ? check_random(subjects->count) : 0;
	char text[256];

	if (count > subjects->count)
		count = subjects->count;
	if (!load_candidate(tally, c))
		return;
	if (ebpftls_filter_set(&filter, &c->program, text, sizeof(text)) != 0) {
		printf("  the module: %s\n", text);
		tally->other++;
		return;
	}
	for (u_int i = 0; i < count; i++)
		judge(tally, c, &filter,
		      &subjects->all[(first + i) % subjects->count]);
	ebpftls_filter_free(&filter);
}

static void
report(const struct tally *tally)
{
	printf("  %u filters: %u translated, %u not supported, %u refused by "
	       "the verifier, %u failed\n",
	       tally->filters, tally->translated, tally->unsupported,
	       tally->refused, tally->other);
	printf("  %lu judgements, %lu of them to keep, %u different\n",
	       tally->judged, tally->kept, tally->wrong);
	check(tally->wrong == 0);
	check(tally->refused == 0);
	check(tally->other == 0);
	/* neither that all pass nor that none does says much */
	check(tally->kept > tally->judged / 20);
	check(tally->kept < tally->judged - tally->judged / 20);
}

/* --- the cases ---------------------------------------------------------- */

static void
try_random(struct tally *tally, bool outgoing, const struct subjects *subjects)
{
	static struct program program;
	struct candidate c = {
		.name = "random",
		.link = program_chance(60) ? 0 : 1 + check_random(2),
		.outgoing = outgoing,
	};

	program_make(&program, link_sizes[c.link]);
	c.program.bf_insns = (struct bpf_insn *)program.insns;
	c.program.bf_len = program.count;
	try_candidate(tally, &c, subjects, FRAMES_FOR_PROGRAM);
}

static void
random_programs(void)
{
	struct tally tally = { .filters = 0 };

	for (u_int i = 0; i < settings.programs; i++)
		try_random(&tally, program_chance(50),
			   program_chance(80) ? &ethernet : &raw);
	report(&tally);
	check(tally.translated >= settings.programs - settings.programs / 100);
}

/* How an expression is compiled: as the module's handles do (pcap-ebpftls.c).
 */
struct dialect {
	const char *name;
	int linktype;
	uint32_t link;
	struct subjects *subjects;
	pcap_t *pcap;
	u_int compiled;
};

static struct dialect dialects[] = {
	{ "EN10MB", DLT_EN10MB, 0, &ethernet, NULL, 0 },
	{ "RAW", DLT_RAW, 0, &raw, NULL, 0 },
	{ "SLL", DLT_LINUX_SLL, 1, &ethernet, NULL, 0 },
	{ "SLL2", DLT_LINUX_SLL2, 2, &ethernet, NULL, 0 },
};

#define DIALECTS (sizeof(dialects) / sizeof(dialects[0]))

static void
open_dialects(void)
{
	for (size_t i = 0; i < DIALECTS; i++) {
		dialects[i].compiled = 0;
		dialects[i].pcap =
		    pcap_open_dead(dialects[i].linktype, SNAPLEN);
		if (dialects[i].pcap == NULL)
			abort();
		dialects[i].pcap->bpf_codegen_flags |= CODEGEN_FLAGS;
	}
}

static void
close_dialects(void)
{
	for (size_t i = 0; i < DIALECTS; i++)
		pcap_close(dialects[i].pcap);
}

static void
try_expression(struct tally *tally, const char *expression,
	       struct dialect *dialect, bool optimize)
{
	struct candidate c = {
		.name = expression,
		.link = dialect->link,
		.outgoing = tally->filters % 2 != 0,
	};
	u_int before = tally->unsupported;

	if (pcap_compile(dialect->pcap, &c.program, expression, optimize,
			 NETMASK) != 0)
		return;
	dialect->compiled += optimize;
	try_candidate(tally, &c, dialect->subjects,
		      optimize ? UINT32_MAX : FRAMES_FOR_SECOND);
	if (tally->unsupported > before && optimize)
		printf("  not supported: %s \"%s\"\n", dialect->name, c.name);
	pcap_freecode(&c.program);
}

/* Calls `each` for each line of some files, "#" begins a remark. */
static u_int
for_expressions(struct tally *tally, int first, int past,
		void (*each)(struct tally *, const char *))
{
	static char line[LINE_MAX_SIZE];
	u_int count = 0;

	for (int i = first; i < past; i++) {
		FILE *file = fopen(settings.expressions[i], "r");

		if (!check(file != NULL))
			return 0;
		while (fgets(line, sizeof(line), file) != NULL) {
			line[strcspn(line, "\n")] = '\0';
			if (line[0] == '#' || line[0] == '\0')
				continue;
			each(tally, line);
			count++;
		}
		fclose(file);
	}
	return count;
}

static void
try_all_dialects(struct tally *tally, const char *expression)
{
	for (size_t i = 0; i < DIALECTS; i++) {
		try_expression(tally, expression, &dialects[i], true);
		try_expression(tally, expression, &dialects[i], false);
	}
}

static void
real_filters(void)
{
	struct tally tally = { .filters = 0 };
	u_int count;

	open_dialects();
	count = for_expressions(&tally, 0, 1, try_all_dialects);
	check(dialects[0].compiled >= count - count / MOST - 1);
	/* libpcap's has some that it refuses */
	count += for_expressions(&tally, 1, settings.expression_count,
				 try_all_dialects);
	printf("  %u expressions; compiled for", count);
	for (size_t i = 0; i < DIALECTS; i++)
		printf(" %s %u", dialects[i].name, dialects[i].compiled);
	printf("\n");
	report(&tally);
	close_dialects();
}

static void
try_in_pieces(struct tally *tally, const char *expression)
{
	struct candidate c = { .name = expression, .outgoing = true };

	if (pcap_compile(dialects[0].pcap, &c.program, expression, 1,
			 NETMASK) != 0)
		return;
	try_candidate(tally, &c, &in_pieces, UINT32_MAX);
	pcap_freecode(&c.program);
}

/* Loads from all over the frame, where pieces meet too. */
static void
try_load_in_pieces(struct tally *tally)
{
	struct bpf_insn insns[] = {
		{ BPF_LDX | BPF_IMM, 0, 0, check_random(33000) },
		{ BPF_LD | BPF_IND | program_size(), 0, 0,
		  check_random(33000) },
		{ BPF_RET | BPF_A, 0, 0, 0 },
	};
	struct candidate c = {
		.name = "load",
		.program = { 3, insns },
		.link = check_random(MODULE_LINKS),
		.outgoing = true,
	};

	insns[1].k += link_sizes[c.link];
	try_candidate(tally, &c, &in_pieces, UINT32_MAX);
}

static void
frames_in_pieces(void)
{
	struct tally tally = { .filters = 0 };

	make_long_subjects();
	kernel_choose(KERNEL_DEVICE);
	for (u_int i = 0; i < in_pieces.count; i++) {
		const struct sample *sample = &in_pieces.all[i].sample;

		check(kernel_first_piece(sample) < sample->len);
	}
	open_dialects();
	for_expressions(&tally, 0, settings.expression_count, try_in_pieces);
	close_dialects();
	for (u_int i = 0; i < settings.programs / 10; i++) {
		try_load_in_pieces(&tally);
		try_random(&tally, true, &in_pieces);
	}
	report(&tally);
	kernel_choose(KERNEL_TEST_RUN);
	forget(&in_pieces);
}

/* What is rejected, however that comes, goes on with the program for it. */
static void
rejected(void)
{
	struct bpf_insn insns[] = {
		{ BPF_LD | BPF_ABS | BPF_B, 0, 0, 19 },
		{ BPF_JMP | BPF_JSET | BPF_K, 0, 1, 2 },
		{ BPF_RET | BPF_K, 0, 0, 0 },
		{ BPF_LDX | BPF_IMM, 0, 0, 2 },
		{ BPF_ALU | BPF_MOD | BPF_X, 0, 0, 0 },
		{ BPF_RET | BPF_A, 0, 0, 0 },
	};
	struct candidate c = { .name = "rejected", .program = { 6, insns } };
	struct tally tally = { .filters = 0 };
	uint32_t before = kernel_rejected();

	kernel_set_reject(true);
	try_candidate(&tally, &c, &ethernet, UINT32_MAX);
	kernel_set_reject(false);
	report(&tally);
	check(kernel_rejected() - before == tally.judged - tally.kept);
	before = kernel_rejected();
	try_candidate(&tally, &c, &ethernet, UINT32_MAX);
	check(kernel_rejected() == before);
}

static const struct check_case cases[] = {
	{ "random programs", random_programs },
	{ "filter expressions", real_filters },
	{ "frames in several pieces", frames_in_pieces },
	{ "what is rejected goes on", rejected },
	{ NULL, NULL },
};

static void
read_arguments(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "n:f:e:")) != -1) {
		if (option == 'n')
			settings.programs = (u_int)atoi(optarg);
		else if (option == 'f')
			settings.frames = (u_int)atoi(optarg);
		else if (option == 'e' && settings.expression_count < FILES_MAX)
			settings.expressions[settings.expression_count++] =
			    optarg;
		else
			exit(2);
	}
	settings.savefiles = argv + optind;
	settings.savefile_count = argc - optind;
}

int
main(int argc, char **argv)
{
	int status;

	read_arguments(argc, argv);
	kernel_open();
	make_subjects();
	status = check_main(cases);
	forget(&ethernet);
	forget(&raw);
	kernel_close();
	return status;
}
