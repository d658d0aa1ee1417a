# The documents: what of them is made from the tree, and the site.

# What the course's transcripts use besides the client.
SYSTEM_TOOLS += $(O)/skep-vm

.PHONY: reference docs
reference: $(O)/skepctl ## write what docs/ takes from the tree: code excerpts, reference pages
	$(Q)scripts/docs --skepctl $(O)/skepctl
docs: ## build the course as a web site into build/site
	$(Q)scripts/setup --docs
	$(Q)mkdocs build --quiet --strict --config-file scripts/mkdocs.yml --site-dir $(abspath $(O))/site
	@echo "  SITE     $(O)/site/index.html"
