#include "proxy/proc/version.h"

#include "filters/stages.h"
#include "policy/keeper/store.h"
#include "proxy/net/loop.h"
#include "proxy/net/resolver.h"
#include "proxy/net/tls.h"

void
version_print(FILE *out)
{
	fprintf(out, "gatepost %s\nlibev %s\nc-ares %s\nOpenSSL %s\nPCRE2 %s\nlibclamav %s\nLMDB %s\n", GATEPOST_VERSION, loop_library(),
	    resolver_library(), tls_library(), rules_library(), av_library(), store_library());
}
