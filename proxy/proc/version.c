#include "proxy/proc/version.h"

#include "filters/stages.h"
#include "proxy/net/loop.h"
#include "proxy/net/tls.h"

void
version_print(FILE *out)
{
	fprintf(out, "gatepost %s\nlibev %s\nOpenSSL %s\nPCRE2 %s\nlibclamav %s\n", GATEPOST_VERSION, loop_library(),
	    tls_library(), rules_library(), av_library());
}
