# apply
# Applies the patches attached to a mail: all of them, or none. Commits of `git format-patch` keep author and message;
# a plain diff is staged. In a shell of its own: directory and variables stay as the last command left them.
(
  shopt -s nullglob nocaseglob
  patches=("$THREADBOX_INBOX"/*.{patch,diff,mbox})
  shopt -u nullglob nocaseglob
  if ((${#patches[@]} == 0)); then
    echo 'No patch came with the mail, or it was too large.'
    exit 1
  fi
  mapfile -d '' -t patches < <(printf '%s\0' "${patches[@]}" | LC_ALL=C sort -z)
  cd "/workspace/$THREADBOX_REPOSITORY" && git rev-parse HEAD >/dev/null || exit
  refuse() {
    printf '%s\nNothing was changed.\n' "${1:+$1$'\n'}"
    exit "${2:-1}"
  }

  mails=0
  for patch in "${patches[@]}"; do
    ! grep -qm 1 -E '^From [0-9a-f]{40} ' -- "$patch" || mails=$((mails + 1))
  done
  ((mails == 0 || mails == ${#patches[@]})) ||
    refuse 'Some of the patches are commits (git format-patch), others plain diffs. Send them in two mails.'
  for state in rebase-merge rebase-apply MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD; do
    [[ ! -e $(git rev-parse --git-path "$state") ]] || refuse 'A merge, a rebase or the like is in progress: end it first.'
  done

  if ((mails != 0)); then
    # To give up would take what is staged with it.
    git diff --cached --quiet || refuse 'Some changes are staged: commit them first, or git restore --staged them.'
    before=$(git rev-parse -q --verify HEAD)
    git am -3 -- "${patches[@]}"
    status=$?
    if ((status != 0)); then
      [[ ! -d $(git rev-parse --git-path rebase-apply) ]] || git am --abort
      refuse '' $status
    fi
    git --no-pager log --stat --format='%n%h %an: %s' "${before:+$before..}HEAD"
    exit
  fi

  # One input is applied as a whole or not at all; but --3way leaves conflicts in the files. Then the index is put back, and
  # from it the files: those of the patch were like it, or it would have been refused.
  temporary=$(mktemp -d) || exit
  trap 'rm -rf -- "$temporary"' EXIT
  for patch in "${patches[@]}"; do
    cat -- "$patch"
    echo
  done >"$temporary/patch"
  if git apply --index "$temporary/patch" 2>/dev/null; then
    git --no-pager diff --cached --stat
    exit
  fi
  index=$(git rev-parse --git-path index)
  [[ ! -e $index ]] || cp -p -- "$index" "$temporary/index"
  declare -A tracked=() dirty=()
  while IFS= read -r -d '' file; do tracked[$file]=yes; done < <(git ls-files -z)
  while IFS= read -r -d '' file; do dirty[$file]=yes; done < <(git diff --name-only -z)
  git apply --3way --index "$temporary/patch"
  status=$?
  if ((status == 0)); then
    git --no-pager diff --cached --stat
    exit
  fi
  mapfile -d '' -t touched < <({ git diff --name-only -z && git diff --cached --name-only -z; } | sort -zu)
  if [[ -e $temporary/index ]]; then cp -p -- "$temporary/index" "$index"; else rm -f -- "$index"; fi
  for file in "${touched[@]}"; do
    if [[ -z ${tracked[$file]} ]]; then
      rm -f -- "$file"
    elif [[ -z ${dirty[$file]} ]]; then
      git checkout-index -f -q -- "$file"
    fi
  done
  refuse '' $status
)
